"""What MkDocs does beside its plugins: links into the source, and a page of commands made from the program."""

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)#]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of commands, written from the classes that the command line is made of."""
    files.append(File.generated(config, "reference/commands.md", content=_commands()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show a link to a source file as its path: the site has no copy of the source. The file must exist."""
    here = Path(page.file.abs_src_path).parent if page.file.abs_src_path else _ROOT / "docs"

    def as_path(link: re.Match[str]) -> str:
        target = (here / link[2]).resolve()
        if target.is_relative_to(_ROOT / "docs"):
            return link[0]
        if not target.exists():
            raise PluginError(f"{page.file.src_uri} links to {link[2]}, which is not there.")
        path = target.relative_to(_ROOT).as_posix()
        return f"`{path}`" if link[1].strip("`") in (path, target.name) else f"{link[1]} (`{path}`)"

    return _LINK.sub(as_path, markdown)


def _commands() -> str:
    from experiments.cli import COMMANDS, load

    parts = [
        "# Commands and their options\n",
        "Made from the program itself: what `xbar COMMAND --help` prints.\n",
    ]
    for command in COMMANDS:
        config = load(command.config)
        parts += [f"## xbar {command.name}\n", _paragraphs(config.__doc__ or ""), _options(config)]
    return "\n".join(parts)


def _paragraphs(docstring: str) -> str:
    """A docstring without its list of attributes; its examples as code."""
    import inspect

    text = re.split(r"\n(?:Attributes|Args|Raises):\n", inspect.cleandoc(docstring))[0]
    lines, code = [], False
    for line in text.split("\n"):
        if line.startswith("  ") != code:
            lines.append("```" + ("" if code else "sh"))
            code = not code
        lines.append(line[2:] if code else line.replace("<", "&lt;"))
    return "\n".join([*lines, *(["```"] if code else [])]) + "\n"


def _options(config: Any) -> str:
    import tyro

    parser = tyro.extras.get_parser(config, config=(tyro.conf.FlagCreatePairsOff,))
    rows = [
        "| option | what it does |",
        "|---|---|",
    ]
    for action in parser._actions:
        if "--help" in action.option_strings:
            continue
        name = ", ".join(action.option_strings) or str(action.metavar)
        helped = re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;]*m", "", str(action.help or "")))
        rows.append(f"| `{name}` | {helped.replace('|', chr(92) + '|').replace('<', '&lt;')} |")
    return "\n".join(rows) + "\n"
