"""What the documents for the next person name is where they say."""

import re

import pytest

from helpers.source import REPOSITORY

DOCUMENTS = ("architecture.md", "extending.md")
# [text](target), without addresses on the web.
LINKS = re.compile(r"\[[^\]]*\]\((?!https?:)([^)#]+)\)")
# "`_SCHEMES` of [placement.py](../crossbar/placement/placement.py)" and "..., in [...](...)".
NAMES = re.compile(r"`(\w+)` (?:of|in)\s+\[[^\]]*\]\(([^)]+\.py)\)")


def text_of(name):
    return (REPOSITORY / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_that_is_named_is_there(name):
    targets = LINKS.findall(text_of(name))
    assert len(targets) > 30
    missing = sorted({target for target in targets if not (REPOSITORY / "docs" / target).exists()})
    assert not missing, f"docs/{name} names what is not there: {missing}. Say where it is now."


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_name_is_in_the_file_that_it_is_said_to_be_in(name):
    pairs = NAMES.findall(text_of(name))
    wrong = sorted(
        {
            (word, target)
            for word, target in pairs
            if not re.search(rf"\b{word}\b", (REPOSITORY / "docs" / target).read_text(encoding="utf-8"))
        }
    )
    assert pairs
    assert not wrong, f"docs/{name} names what is not in these files: {wrong}. Say where it is now."
