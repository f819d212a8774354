"""Recurrent layers on analog tiles: their products on tiles, their gates in digital."""
