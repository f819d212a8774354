"""How a figure becomes files: style, width, formats, numbers."""
