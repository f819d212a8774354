"""`xbar wires-training`: accuracy against wire resistance, trained with and without the wires."""
