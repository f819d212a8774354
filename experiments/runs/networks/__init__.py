"""The network of a run: one of ours by its name, or one of a user's own."""
