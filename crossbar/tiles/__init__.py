"""Tile arrays: T tiles in one tensor, with the weights that are trained or the devices that learn in place."""
