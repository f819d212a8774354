"""Learning rules answer for themselves: nobody asks which class they are of."""

import ast

import crossbar.learning
from crossbar.learning import UnitCells
from helpers.source import modules, tree


def rules() -> set[str]:
    """Return the names of all rules of the package, those that others extend too; the reference is none."""
    waiting, found = [UnitCells], set()
    while waiting:
        for rule in waiting.pop().__subclasses__():
            if rule.__module__.startswith(f"{crossbar.learning.__name__}."):
                waiting.append(rule)
                found.add(rule.__name__)
    return found


def test_nobody_asks_a_rule_for_its_class():
    names, switches = rules(), []
    assert {"SingleCells", "ChoppedCells", "WriteVerifyCells"} < names
    for module, file in modules().items():
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "type"):
                asked = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
                if asked & names:
                    switches.append(f"{module}: {ast.unparse(node)}")
    assert not switches, f"{switches}: let `UnitCells` answer, with a method that this rule overrides."
