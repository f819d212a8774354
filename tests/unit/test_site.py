"""The page of commands has exactly the options that the command line takes; pages fetch nothing."""

import contextlib
import importlib.util
import io
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments.cli import COMMANDS, _parse, load

HOOKS = Path(__file__).parents[2] / "docs" / "build" / "hooks.py"


@pytest.fixture(scope="module")
def hooks():
    pytest.importorskip("mkdocs")
    spec = importlib.util.spec_from_file_location("hooks", HOOKS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_page_that_would_fetch_something_is_refused(hooks):
    page = SimpleNamespace(file=SimpleNamespace(src_uri="index.md"))
    kept = '<a href="https://example.org">elsewhere</a><script src="build/iframe-worker.js"></script>'
    assert hooks.on_post_page(kept, page, None) == kept
    with pytest.raises(Exception, match=r"index\.md would fetch https://example\.org/x\.js"):
        hooks.on_post_page('<script src="https://example.org/x.js"></script>', page, None)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_options_are_those_of_the_help(hooks, command):
    config = load(command.config)
    told = re.findall(r"^\| `([\w-]+)` \|", hooks._options(config), flags=re.MULTILINE)
    assert [name.lower().strip("-") for name in told] == [
        name.strip("_").replace("_", "-") for name in config.__dataclass_fields__
    ]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit):
        _parse(config, command.name, ["--help"])
    helped = re.findall(r"^[│ ]+(--[a-z][\w-]*)", printed.getvalue(), flags=re.MULTILINE)
    assert set(helped) - {"--help"} == {name for name in told if name.startswith("--")}
