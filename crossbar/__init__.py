"""Tile arrays, the analog matrix-vector product, analog layers, placements and costs."""
