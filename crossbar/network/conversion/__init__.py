"""Networks onto tiles and back: which layer becomes which, what stays digital and why."""
