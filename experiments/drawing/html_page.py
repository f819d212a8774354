"""A page to read in a browser: one file with all figures in it, no network, no scripts, fit for a telephone."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

import jinja2

from devices.files import read_regular, write_atomically


@final
@dataclass(frozen=True, kw_only=True)
class Table:
    """A table.

    Attributes:
        header: Titles of the columns.
        rows: The cells, line by line.
        text_columns: How many columns at the left are text; all others are numbers, and stand to the right.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int = 1


@final
@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure.

    Attributes:
        path: The PNG file.
        description: What it shows, for those who do not see it.
    """

    path: Path
    description: str

    @property
    def data(self) -> str:
        """The file, as it stands in the page."""
        return base64.b64encode(read_regular(self.path, "run")).decode()


@final
@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page, in the order in which it is read.

    Attributes:
        title: Its heading.
        text: Paragraphs.
        table: A table, or None.
        notes: What the table's entries mean.
        pictures: Figures.
        code: Lines as they are typed or stand in a file, or None.
        folded: Whether the reader has to open it.
        warnings: Sentences that must not be overlooked.
    """

    title: str
    text: Sequence[str] = ()
    table: Table | None = None
    notes: Sequence[str] = ()
    pictures: Sequence[Picture] = field(default_factory=tuple)
    code: str | None = None
    folded: bool = False
    warnings: Sequence[str] = ()


def write_page(path: Path, *, title: str, summary: str, sections: Sequence[Section]) -> None:
    """Write a page, whole or not at all.

    Args:
        path: The HTML file.
        title: What it is about.
        summary: What came out, in a sentence or two.
        sections: Its parts.
    """
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    page = environment.from_string(_TEMPLATE).render(
        title=title, summary=summary, sections=sections, style=_STYLE
    )
    write_atomically(path, page.encode())


_STYLE: Final = """\
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 70rem; padding: 1rem; font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; }
h2, summary { font-size: 1.15rem; font-weight: 600; margin: 1.6rem 0 .4rem; }
summary { cursor: pointer; }
img { max-width: 100%; height: auto; display: block; margin: .6rem 0; }
.wide { overflow-x: auto; }
.wide img { max-width: none; width: max(100%, 44rem); }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .55rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th { border-bottom: 2px solid #888; vertical-align: bottom; white-space: normal; }
.text { text-align: left; }
pre { background: #f4f4f4; padding: .6rem; font-size: .82rem; white-space: pre-wrap; overflow-wrap: anywhere; }
p, li { overflow-wrap: anywhere; }
.notes { color: #555; font-size: .86rem; padding-left: 1.1rem; }
.warning { border-left: 4px solid #d55e00; background: #fdf3ec; padding: .4rem .7rem; }
"""

_TEMPLATE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
{{ style | safe }}
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p>{{ summary }}</p>
{% for section in sections %}
{% if section.folded %}
<details><summary>{{ section.title }}</summary>
{% else %}
<h2>{{ section.title }}</h2>
{% endif %}
{% for warning in section.warnings %}
<p class="warning">{{ warning }}</p>
{% endfor %}
{% for paragraph in section.text %}
<p>{{ paragraph }}</p>
{% endfor %}
{% if section.table %}
{% set table = section.table %}
<div class="wide"><table>
<thead><tr>
{% for title in table.header %}
<th{% if loop.index0 < table.text_columns %} class="text"{% endif %}>{{ title }}</th>
{% endfor %}
</tr></thead>
<tbody>
{% for row in table.rows %}
<tr>
{% for cell in row %}
<td{% if loop.index0 < table.text_columns %} class="text"{% endif %}>{{ cell }}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table></div>
{% endif %}
{% if section.notes %}
<ul class="notes">{% for note in section.notes %}<li>{{ note }}</li>{% endfor %}</ul>
{% endif %}
{% for picture in section.pictures %}
<div class="wide"><img alt="{{ picture.description }}" src="data:image/png;base64,{{ picture.data }}"></div>
{% endfor %}
{% if section.code %}
<pre>{{ section.code }}</pre>
{% endif %}
{% if section.folded %}
</details>
{% endif %}
{% endfor %}
</body>
</html>
"""
