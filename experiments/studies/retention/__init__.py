"""`xbar retention`: accuracy over a year on many devices, unshared beside shared kernels."""
