"""What every package uses and no user imports: checks, conversions, numerics of TensorFlow, serialization."""
