"""`xbar paper`: the seed paper's four questions, in floating point and on hardware."""
