"""The vocabulary of aihwkit that the crossbar package speaks, and the check that its compiled tiles work."""
