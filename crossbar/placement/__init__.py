"""Which tile serves an image location, which kernel a tile holds, and how inputs get there."""
