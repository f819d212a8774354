"""The way of weights to conductances: mapping, modifiers of training, clipping and remapping."""
