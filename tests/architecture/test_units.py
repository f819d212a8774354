"""Every physical number says its unit: fields of dataclasses, and what public functions take and return."""

import ast
import dataclasses
import importlib
import pkgutil
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest

from helpers.source import REPOSITORY, modules, tree

PACKAGES = ("devices", "crossbar")


def dataclasses_of(package):
    """Find the dataclasses that the modules of a package define, those of its subpackages included."""
    for info in pkgutil.walk_packages([str(REPOSITORY / package)], f"{package}."):
        module = importlib.import_module(info.name)
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and dataclasses.is_dataclass(value)
                and value.__module__ == module.__name__
            ):
                yield value


def is_bare(hint):
    """Tell whether a float without a unit hides in a type; an Annotated one says its unit."""
    return hint is float or (get_origin(hint) is not Annotated and any(map(is_bare, get_args(hint))))


def bare_floats(cls):
    """Name the fields of a dataclass that are floats without a unit."""
    for name, hint in get_type_hints(cls, include_extras=True).items():
        if is_bare(hint):
            yield f"{cls.__module__}.{cls.__qualname__}.{name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_float_of_a_dataclass_has_a_unit(package):
    assert [field for cls in dataclasses_of(package) for field in bare_floats(cls)] == []


def says_float(annotation):
    """Tell whether an annotation names the type float itself."""
    return annotation is not None and any(
        isinstance(node, ast.Name) and node.id == "float" for node in ast.walk(annotation)
    )


def bare_signatures(body, place):
    """Name what public functions and methods take or return as a float without a unit, and attributes of classes."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from bare_signatures(node.body, f"{place}.{node.name}")
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and says_float(field.annotation):
                    yield f"{place}.{node.name}.{ast.unparse(field.target)}"
        elif isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name == "__init__"):
            listed = node.args
            arguments = [*listed.posonlyargs, *listed.args, *listed.kwonlyargs, listed.vararg, listed.kwarg]
            for argument in filter(None, arguments):
                if says_float(argument.annotation):
                    yield f"{place}.{node.name}({argument.arg})"
            if says_float(node.returns):
                yield f"{place}.{node.name}() ->"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_float_of_a_public_function_has_a_unit(package):
    found = [
        bare
        for name, file in modules().items()
        if name.partition(".")[0] == package
        for bare in bare_signatures(tree(file).body, name)
    ]
    assert found == [], "annotate them from devices/units.py"


def test_the_search_for_bare_floats_finds_them():
    @dataclasses.dataclass
    class Careless:
        plain: float = 1.0
        optional: float | None = None
        many: tuple[float, ...] = ()
        inside: dict[str, tuple[float, int]] = dataclasses.field(default_factory=dict)
        number: int = 0
        known: Annotated[float, "s"] = 1.0
        known_inside: tuple[Annotated[float, "s"], ...] = ()

    names = [name.rpartition(".")[2] for name in bare_floats(Careless)]
    assert names == ["plain", "optional", "many", "inside"]


def test_the_search_finds_bare_floats_in_signatures():
    source = ast.parse(
        "def read(time: float, other: Seconds, *, step: Tensor | float = 1.0) -> tuple[float, int]: ...\n"
        "def _private(time: float): ...\n"
        "class Reader:\n    range: float\n    name: str\n    def __init__(self, *noise: float): ...\n"
    )
    assert [*bare_signatures(source.body, "m")] == [
        "m.read(time)",
        "m.read(step)",
        "m.read() ->",
        "m.Reader.__init__(noise)",
        "m.Reader.range",
    ]


def test_subpackages_are_searched_too():
    found = {cls.__module__ for cls in dataclasses_of("devices")}
    assert {"devices.fitting.pulse_fit", "devices.device_model"} <= found
