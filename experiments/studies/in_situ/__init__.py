"""Shared and unshared kernels, learning in situ on several devices."""
