"""README and documentation are true: their Python runs, their commands have these options, their links lead on."""

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ids = [page.relative_to(ROOT).as_posix() for page in PAGES]


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.stem
)
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}  # a block goes on where the one before it ended
    for code in blocks(page, "python"):
        exec(compile(code, str(page), "exec"), names)


def commands(page):
    """Lines that start with xbar, in blocks of shell and indented ones; continued lines are joined."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.strip() for line in re.findall(r"^(?:    |)(xbar .*)$", text, flags=re.MULTILINE)]


def words_of(line):
    """The words of a command, with placeholders (RUN, SEED, DEVICE, ...) replaced by something of their kind."""
    line = line.partition(" #")[0]
    words = shlex.split(re.sub(r"\bRUN\.\.\.", "RUN", line))[1:]
    kinds = {
        "SEED": "1",
        "LR": "0.1",
        "N": "2",
        "MODEL": "fcn_mnist",
        "DEVICE": "pcm",
        "BACKEND": "aihwkit",
        "S": "1",
        "K": "2",
        "F": "0.9",
    }
    return [kinds.get(word, word) for word in words]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.stem)
def test_the_commands_of_a_page_have_these_options(page):
    from experiments.cli import COMMANDS, _parse, load

    by_name = {command.name: command for command in COMMANDS}
    for line in commands(page):
        words = words_of(line)
        if not words or words[0].startswith("-") or "COMMAND" in words or "--help" in words:
            continue
        assert words[0] in by_name, line
        try:
            _parse(load(by_name[words[0]].config), words[0], words[1:])
        except (SystemExit, ValueError) as error:
            pytest.fail(f"{page.name}: {line}: {error}")


LINKS = [
    (page, target)
    for page in PAGES
    for target in re.findall(r"\]\((?!http|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
]


def test_links_lead_somewhere():
    made_by_the_build = {"commands.md"}
    missing = [
        f"{page.relative_to(ROOT)}: {target}"
        for page, target in LINKS
        if not (page.parent / target).exists() and Path(target).name not in made_by_the_build
    ]
    assert missing == []


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert max(map(len, lines)) <= 118


def test_every_page_of_the_site_is_in_its_contents():
    contents = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [
        page.relative_to(ROOT / "docs").as_posix() for page in PAGES if page.is_relative_to(ROOT / "docs")
    ]
    assert [page for page in pages if page not in contents] == []
