"""A page to read in a browser: one file with all figures in it, no network, fit for a telephone.

A click on the head of a table sorts it; without scripts the page shows the same.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import jinja2
from markupsafe import Markup, escape

from devices.files import write_atomically

from .glossary import meaning_of, words_in
from .sections import Picture, Section, Table

__all__ = ["Picture", "Section", "Table", "write_page"]


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
    environment.filters["code"] = _with_code
    environment.filters["meaning"] = meaning_of
    sections = [*sections, *_glossary(sections)]
    page = environment.from_string(_TEMPLATE).render(
        title=title, summary=summary, sections=sections, style=_STYLE, script=_SORTING
    )
    write_atomically(path, page.encode(errors="replace"))


def _glossary(sections: Sequence[Section]) -> list[Section]:
    """Return a section that explains the words of a page; none where there are none to explain."""
    tables = [section.table for section in sections if section.table is not None]
    texts = [
        *(
            text
            for section in sections
            for text in (section.title, *section.text, *section.items, *section.notes)
        ),
        *(cell for table in tables for row in (table.header, *table.rows) for cell in row),
    ]
    words = words_in(texts)
    return [Section(title="Words", items=words, folded=True)] if words else []


def _with_code(text: str) -> Markup:
    """Show what stands between backticks, as in Markdown, as code."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    pieces = (
        escape(part) if place % 2 == 0 else Markup("<code>{}</code>").format(part)
        for place, part in enumerate(parts)
    )
    return Markup("").join(pieces)


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
th { cursor: pointer; }
th[title] { text-decoration: underline dotted; }
.text { text-align: left; }
pre { background: #f4f4f4; padding: .6rem; font-size: .82rem; white-space: pre-wrap; overflow-wrap: anywhere; }
p, li { overflow-wrap: anywhere; }
.notes { color: #555; font-size: .86rem; padding-left: 1.1rem; }
.warning { border-left: 4px solid #d55e00; background: #fdf3ec; padding: .4rem .7rem; }
"""

# A click on a head sorts by the first number in each cell, or by text where there is none; again, the other way.
_SORTING: Final = """\
for (const table of document.querySelectorAll("table")) {
  for (const [column, head] of [...table.tHead.rows[0].cells].entries()) {
    head.addEventListener("click", () => {
      const up = (head.dataset.up = head.dataset.up === "1" ? "" : "1") ? 1 : -1;
      const key = row => {
        const text = row.cells[column].textContent, number = parseFloat(text.replace(/,/g, ""));
        const prefix = text.match(/^[\\d.,]+ ([PTGMkmµnpf])[JsW]$/);
        const power = prefix ? 10 ** (3 * ("fpnµm kMGTP".indexOf(prefix[1]) - 5)) : 1;
        return Number.isNaN(number) ? text : number * power;
      };
      const order = (a, b) => typeof a === typeof b ? (a > b) - (a < b) : typeof a === "number" ? -1 : 1;
      const body = table.tBodies[0];
      body.append(...[...body.rows].sort((a, b) => up * order(key(a), key(b))));
    });
  }
}
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
{% elif section.title %}
<h2>{{ section.title }}</h2>
{% endif %}
{% for warning in section.warnings %}
<p class="warning">{{ warning | code }}</p>
{% endfor %}
{% for paragraph in section.text %}
<p>{{ paragraph | code }}</p>
{% endfor %}
{% if section.items %}
<ul>{% for item in section.items %}<li>{{ item | code }}</li>{% endfor %}</ul>
{% endif %}
{% if section.table %}
{% set table = section.table %}
<div class="wide"><table>
<thead><tr>
{% for title in table.header %}
<th{% if table.sides[loop.index0] == "l" %} class="text"{% endif %}\
{% set meaning = title | meaning %}{% if meaning %} title="{{ meaning }}"{% endif %}>{{ title }}</th>
{% endfor %}
</tr></thead>
<tbody>
{% for row in table.rows %}
<tr>
{% for cell in row %}
<td{% if table.sides[loop.index0] == "l" %} class="text"{% endif %}>{{ cell | code }}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table></div>
{% endif %}
{% if section.notes %}
<ul class="notes">{% for note in section.notes %}<li>{{ note | code }}</li>{% endfor %}</ul>
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
<script>
{{ script | safe }}
</script>
</body>
</html>
"""
