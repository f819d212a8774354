"""The README's Python runs as it is printed, and the files it shows exist."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


def test_the_python_of_the_readme_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict[str, object] = {}  # the second block goes on where the first one ends
    for code in blocks:
        exec(compile(code, str(README), "exec"), names)
    printed = capsys.readouterr().out
    assert "tensor([" in printed
    assert "ReRamSBPresetDevice" in printed


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)]+)\)", README.read_text(encoding="utf-8")))
def test_what_the_readme_links_to_is_there(target):
    assert (README.parent / target).is_file()
