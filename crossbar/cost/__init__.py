"""What a network makes happen in hardware, counted as integers, and what that costs on a given hardware."""
