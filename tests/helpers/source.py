"""The source of the four packages, as the tests of the architecture see it."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from experiments.support.origin import PACKAGES

REPOSITORY = Path(__file__).resolve().parents[2]


@cache
def modules() -> dict[str, Path]:
    """Return the file of every module, subpackages included."""
    files = (file for package in PACKAGES for file in sorted((REPOSITORY / package).rglob("*.py")))
    return {module_name(file): file for file in files}


def module_name(file: Path) -> str:
    parts = file.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def imports(name: str, file: Path, source: ast.Module, known: dict[str, Path]) -> Iterator[str]:
    """Name the known modules that a module imports: anywhere in it, inside functions and under conditions too."""
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(source):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield from [there for there in (f"{base}.{alias.name}", base) if there in known][:1]


def import_graph() -> dict[str, set[str]]:
    """Return which modules of the four packages each of them imports."""
    known = modules()
    return {name: {*imports(name, file, tree(file), known)} - {name} for name, file in known.items()}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other, directly or around corners, each sorted."""
    reached = {name: _reach(graph, name) for name in graph}
    groups = {
        tuple(sorted(other for other in reached[name] if name in reached[other]))
        for name in graph
        if name in reached[name]
    }
    return [list(group) for group in sorted(groups)]


def _reach(graph: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    ahead = list(graph[start])
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += graph[name]
    return found
