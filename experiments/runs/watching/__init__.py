"""What is noted of a training: what its updates do to the devices, and what it reaches for how many events."""
