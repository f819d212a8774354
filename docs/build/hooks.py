"""What MkDocs does beside its plugins: links into the source, and a page of commands made from the program."""

import inspect
import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import docstring_parser
import tyro
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


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Refuse what a page would fetch: it is read from a disk, perhaps without a network."""
    fetched = re.search(
        r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=[\"']?(https?://[^\"' >]+)", output
    )
    if fetched and 'rel="canonical"' not in fetched[0]:
        raise PluginError(f"{page.file.src_uri} would fetch {fetched[1]}.")
    return output


def _commands() -> str:
    from experiments.cli import COMMANDS, load

    parts = [
        "# Commands and their options\n",
        "Made from the classes that `xbar COMMAND --help` is made of. Without a default an option is left open, "
        "and the text says what it is then.\n",
    ]
    for command in COMMANDS:
        config = load(command.config)
        parts += [f"## xbar {command.name}\n", _paragraphs(config.__doc__ or ""), _options(config)]
    return "\n".join(parts)


def _paragraphs(docstring: str) -> str:
    """A docstring without its list of attributes; its examples as code."""
    text = re.split(r"\n(?:Attributes|Args|Raises):\n", inspect.cleandoc(docstring))[0]
    lines, code = [], False
    for line in text.split("\n"):
        if line.startswith("  ") != code:
            lines.append("```" + ("" if code else "sh"))
            code = not code
        lines.append(line[2:] if code else line.replace("<", "&lt;"))
    return "\n".join([*lines, *(["```"] if code else [])]) + "\n"


def _options(config: Any) -> str:
    """A table of the fields of a dataclass, as tyro makes options of them."""
    told = {one.arg_name: one.description or "" for one in docstring_parser.parse_from_object(config).params}
    hints = get_type_hints(config, include_extras=True)
    rows = ["| option | values | default | what it does |", "|---|---|---|---|"]
    for field in fields(config):
        if not told.get(field.name):
            raise PluginError(f"{config.__name__} does not say what {field.name} is.")
        notes = getattr(hints[field.name], "__metadata__", ())
        values = next((note.metavar for note in notes if getattr(note, "metavar", None)), None)
        name = field.name.strip("_").replace("_", "-")
        name = name.upper() if tyro.conf.Positional in notes else f"--{name}"
        values = _values(hints[field.name]) if values is None else values
        cells = (_code(name), _code(values), _code(_default(field)), _plain(told[field.name]))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _values(hint: Any) -> str:
    """What may be written for a type: its choices, or its kind in capitals; nothing for a flag."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _values(parts[0])
    if origin is Literal:
        return "{" + ",".join(map(str, parts)) + "}"
    if origin is tuple:
        return f"{_values(parts[0])} ..."
    if origin is not None:  # of None and something else
        return "|".join(dict.fromkeys(_values(part) for part in parts if part is not type(None)))
    return {bool: "", str: "STR", int: "INT", float: "FLOAT", Path: "PATH"}[hint]


def _default(field: Any) -> str:
    value = field.default if field.default_factory is MISSING else field.default_factory()
    if value is MISSING or value is None or value is False:
        return ""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _code(text: str) -> str:
    return f"`{_plain(text)}`" if text else ""


def _plain(text: str) -> str:
    """Text for a cell of a table."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;")
