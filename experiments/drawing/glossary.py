"""What the words of pages mean: shown where the pointer rests on a table's head, and at the end of a page."""

import re
from collections.abc import Iterable
from typing import Final

WORDS: Final = {
    "ADC": "converter of an output current to a number",
    "DAC": "converter of a number to an input voltage",
    "always on": "arrays draw static power all the time, between images too",
    "area": "of the arrays with their converters, one kernel in each unless packed",
    "as trained": "as training on the devices left them, before any time passes",
    "bit line": "collects the currents of a column of devices",
    "compensation": "digital factors that undo the mean drift of conductances",
    "copies": "tiles that are meant to hold the same kernel",
    "digital": "the same weights without any hardware",
    "extrapolated": "beyond the times for which real devices were measured",
    "free": "every location its own tile and its own kernel",
    "hardware-aware": "trained in floating point under the noise that the chip will have",
    "in situ": "trained on the devices, by pulses",
    "latency": "time from an image to its answer, products of a tile one after another",
    "not learned": "not above the most frequent class by three binomial standard deviations",
    "placement": "which tile serves which location of an image, and which kernel it holds",
    "programming": "writing of trained weights to devices, with the noise of one chip",
    "replicated": "one kernel on several tiles",
    "static": "what arrays draw whether they work or not",
    "time-multiplexed": "one tile, used at every location, one after another",
    "verify": "reads by which write-verify finds out what devices hold",
    "wear": "pulses on the busiest device, against what devices survive",
    "word line": "carries an input voltage to a row of devices",
}
_PATTERN: Final = re.compile(
    rf"(?<![\w-])({'|'.join(sorted(map(re.escape, WORDS), key=len, reverse=True))})(?![\w-])", re.IGNORECASE
)
_BY_LOWER: Final = {word.lower(): word for word in WORDS}


def meaning_of(text: str) -> str | None:
    """Return what the first word of the glossary in a text means; None if there is none."""
    found = _PATTERN.search(text)
    return None if found is None else f"{found[1]}: {WORDS[_BY_LOWER[found[1].lower()]]}"


def words_in(texts: Iterable[str]) -> list[str]:
    """Return the entries of the glossary whose words stand in texts, in alphabetical order."""
    found = {_BY_LOWER[word.lower()] for text in texts for word in _PATTERN.findall(text)}
    return [f"{word}: {WORDS[word]}." for word in sorted(found, key=str.lower)]
