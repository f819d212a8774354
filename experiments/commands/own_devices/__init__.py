"""Commands that make a device file: from measurements, or from what other programs know of a device."""
