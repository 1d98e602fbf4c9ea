"""What gates are built from: their bases, their context, and what they measure."""
