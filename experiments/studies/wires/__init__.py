"""`xbar wires`: what the resistance of wires does to a trained network."""
