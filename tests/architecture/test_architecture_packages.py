"""The four packages are this repository's."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.support.origin import PACKAGES
from helpers.source import REPOSITORY


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
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    name = file.stem if file.stem != "__init__" else file.parent.name
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: `{name}` must be the package in {REPOSITORY}, but is {file}.")
