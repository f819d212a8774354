"""Studies: many runs, planned, resumed, and put side by side."""
