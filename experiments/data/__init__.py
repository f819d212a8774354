"""Labelled images, their transformations, and their folds."""
