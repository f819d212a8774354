"""The reference: real aihwkit tiles, one after the other."""
