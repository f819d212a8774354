"""`xbar tune`: learning rates searched on validation images, with the same effort for every training."""
