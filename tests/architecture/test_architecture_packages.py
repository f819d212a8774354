"""The four packages are this repository's, and every physical number says its unit."""

import dataclasses
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest

from experiments.support.origin import PACKAGES

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", PACKAGES)
def test_package_names_resolve_inside_this_repository(name):
    assert Path(importlib.import_module(name).__file__) == REPOSITORY / name / "__init__.py"


@pytest.mark.parametrize("stranger", ["models.py", "devices/__init__.py"])
def test_a_stranger_with_our_name_is_refused_in_one_sentence(tmp_path, stranger):
    """Its code must not run either: importing it would end the process with code 7."""
    file = tmp_path / stranger
    file.parent.mkdir(exist_ok=True)
    file.write_text("import os; os._exit(7)")
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(REPOSITORY)!r}]; import experiments"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    name = file.stem if file.stem != "__init__" else file.parent.name
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: `{name}` must be the package in {REPOSITORY}, but is {file}.")


def dataclasses_of(package):
    """Find the dataclasses that the modules of a package define."""
    for info in pkgutil.iter_modules([str(REPOSITORY / package)]):
        module = importlib.import_module(f"{package}.{info.name}")
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and dataclasses.is_dataclass(value)
                and value.__module__ == module.__name__
            ):
                yield value


def bare_floats(cls):
    """Name the fields of a dataclass that are floats without a unit."""
    for name, hint in get_type_hints(cls, include_extras=True).items():
        # An Annotated float is not `float`; `float | None` and `tuple[float, ...]` hide one inside.
        inside = () if get_origin(hint) is Annotated else get_args(hint)
        if float in (hint, *inside):
            yield f"{cls.__module__}.{cls.__qualname__}.{name}"


@pytest.mark.parametrize("package", ["devices", "crossbar"])
def test_every_float_of_a_dataclass_has_a_unit(package):
    assert [field for cls in dataclasses_of(package) for field in bare_floats(cls)] == []


def test_the_search_for_bare_floats_finds_them():
    @dataclasses.dataclass
    class Careless:
        plain: float = 1.0
        optional: float | None = None
        many: tuple[float, ...] = ()
        number: int = 0
        known: Annotated[float, "s"] = 1.0

    assert [name.rpartition(".")[2] for name in bare_floats(Careless)] == ["plain", "optional", "many"]
