"""`xbar in-situ`: shared and unshared kernels, learning in situ on several devices."""
