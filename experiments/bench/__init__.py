"""`xbar bench`: speed, memory and growth, beside aihwkit and plain digital layers."""
