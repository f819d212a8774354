"""What aihwkit's users and tools find on a tile: its context, its weights as a matrix, its hidden parameters."""
