"""The Tiki-Taka family: gradients on fast devices, read line by line and written to slow ones."""
