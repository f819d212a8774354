"""A network spread over processes: its tiles, or the images of its batches."""
