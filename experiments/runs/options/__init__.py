"""What a run can be asked for, what is filled in where nothing was said, and what is refused."""
