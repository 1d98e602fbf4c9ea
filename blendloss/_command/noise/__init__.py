"""The study `blendloss noise`: one network, contaminated data, and the noise law that each gate finds."""
