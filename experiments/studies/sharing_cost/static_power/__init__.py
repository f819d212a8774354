"""What static power does to the bill: rankings by scope, a map of them, and a training step in parts."""
