"""The law of cost: one training step of a layer against image, kernels, batch and machines."""
