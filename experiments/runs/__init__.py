"""One run: its folder, its training, its evaluation, and what it found out."""
