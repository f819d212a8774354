"""No module imports itself around a corner, and none needs a type checker's eyes to hide that it does."""

import ast
import subprocess
import sys

from helpers.source import REPOSITORY, circles, import_graph, imports, modules, tree

# Circles that are being taken apart today. Whoever ends one takes its line out: the test says so when it is time.
BEING_MENDED: list[list[str]] = []
HIDES_AN_IMPORT: set[str] = set()


def test_no_module_imports_itself_around_a_corner():
    found = circles(import_graph())
    new = [circle for circle in found if circle not in BEING_MENDED]
    assert not new, (
        f"these import each other: {new}. Move what both need below both, or pass it as an argument."
    )
    gone = [circle for circle in BEING_MENDED if circle not in found]
    assert not gone, f"well done: no circle any more: {gone}. Take it out of BEING_MENDED in this file."


def hides_an_import(source):
    """Tell whether a module asks if it is being type-checked."""
    return any(
        "TYPE_CHECKING"
        in (getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "name", None))
        for node in ast.walk(source)
    )


def test_no_import_is_for_the_type_checker_only():
    found = {name for name, file in modules().items() if hides_an_import(tree(file))}
    new = sorted(found - HIDES_AN_IMPORT)
    assert not new, f"import under TYPE_CHECKING in {new}: an arrow that points up. Turn it."
    gone = sorted(HIDES_AN_IMPORT - found)
    assert not gone, (
        f"well done: nothing hidden any more in {gone}. Take it out of HIDES_AN_IMPORT in this file."
    )


def test_imports_are_found_wherever_they_stand():
    source = ast.parse(
        "import p.a.one\nfrom . import two\nfrom ..b import three\nfrom .four import name\nfrom elsewhere import x\n"
        "if TYPE_CHECKING:\n    from p.b.five import T\ndef late():\n    from .six import name\n"
    )
    names = ("p.a.one", "p.a.two", "p.b.three", "p.a.four", "p.b.five", "p.a.six", "p.b", "p.a")
    known = dict.fromkeys(names, REPOSITORY)
    in_a = REPOSITORY / "p" / "a" / "zero.py"
    assert [*imports("p.a.zero", in_a, source, known)] == [*names[:6]]
    of_package = REPOSITORY / "p" / "a" / "__init__.py"
    assert [*imports("p.a", of_package, ast.parse("from .one import x\nfrom ..b import y"), known)] == [
        "p.a.one",
        "p.b",
    ]
    assert hides_an_import(source)
    assert not hides_an_import(ast.parse("from typing import Any"))


def test_circles_are_found_around_corners():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"e", "a"}}
    assert circles(graph) == [["a", "b", "c"], ["e"]]


def test_our_own_import_brings_nothing_slow_beside_aihwkit_and_numba():
    code = (
        "import sys, aihwkit.nn\nbefore = set(sys.modules)\nimport crossbar\n"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "numba" in told.split()
    assert not {"sklearn", "scipy", "pandas", "matplotlib", "rich"} & set(told.split())
