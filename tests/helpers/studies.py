"""Folders of studies as earlier versions left them."""

import json
import re

from experiments.cli import main


def page_of_version_1(study, stem, folder, configuration="configuration", more=()):
    """Write a study's numbers as version 1 did into a folder, let `xbar report` read them, and return the page.

    Args:
        study: The folder of the study.
        stem: What its files are called.
        folder: Where to.
        configuration: What that study called its configuration.
        more: Entries that it had besides.
    """
    content = json.loads((study / f"{stem}.json").read_text())
    for name in ("format", "study", "sections", "title", "summary"):
        content.pop(name)
    content[configuration] = content.pop("configuration")
    for row in content["rows"]:
        row.pop("did_learn")
    (folder / f"{stem}.json").write_text(json.dumps({**content, **dict(more)}))
    assert main(["report", str(folder)]) == 0
    return (folder / "report.html").read_text()


def lines_of_tables(page):
    """Return what stands in the lines of a page's tables."""
    return [
        re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", line)
        for line in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    ]
