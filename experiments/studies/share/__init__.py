"""`xbar share`: kernels that learned apart, made one afterwards."""
