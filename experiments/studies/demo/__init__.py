"""`xbar demo`: the question of this program, answered small: one tile, copies, and no sharing at all."""
