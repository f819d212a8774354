"""A training in several processes: how they are started, what each does, and what they cannot share."""
