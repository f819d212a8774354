"""What the resistance of word and bit lines does to an array of devices."""

from .nodes import CrossbarSolution, solve_nodes
from .parameters import WireParameters
from .solver import effective_conductance, solve_crossbar

__all__ = ["CrossbarSolution", "WireParameters", "effective_conductance", "solve_crossbar", "solve_nodes"]
