"""The analog matrix-vector product: converters, noise, periphery and input ranges."""
