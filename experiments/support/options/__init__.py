"""What the options of all commands have in common: those left open, and those that have no effect."""
