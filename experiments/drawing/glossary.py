"""What our words mean: the only list of them.

Pages show a meaning where the pointer rests on a table's head, and all that they use at their end;
docs/reference/glossary.md is written from it, by `python -P -m experiments.drawing.glossary`.
"""

import re
from collections.abc import Iterable
from typing import Final

WORDS: Final = {
    "ADC": "converter of an output current to a number",
    "aggregated engine": "all pulses of a vector given to a device at once, with mean, spread and correlations of "
    "single pulses",
    "always on": "arrays draw static power all the time, between images too",
    "analog layer": "an `nn.Module` made of one or more tiles",
    "area": "of the arrays with their converters, one kernel in each unless packed",
    "array": "physical rows and columns of devices, of the size that a hardware profile says",
    "as trained": "as training on the devices left them, before any time passes",
    "bit line": "collects the currents of a column of devices",
    "chip": "all tiles of a network, programmed once, with the noise and drift of its seed",
    "CNN": "here: the network whose layers share kernels",
    "compensation": "digital factors that undo the mean drift of conductances",
    "copies": "tiles that are meant to hold the same kernel",
    "cycle-to-cycle": "drawn again at every pulse",
    "DAC": "converter of a number to an input voltage",
    "device": "one memory cell",
    "device-to-device": "drawn once, when a device is made",
    "digital": "the same weights without any hardware",
    "drift": "change of conductance with time since programming",
    "exact engine": "every pulse on every device, one after the other",
    "extrapolated": "beyond the times for which real devices were measured; marked with *",
    "FCN": "free convolutional network: of the shape of the CNN, but every location has a kernel of its own",
    "free": "every location its own tile and its own kernel",
    "hardware-aware": "trained in floating point under the noise that the chip will have (hwa)",
    "in situ": "trained on the devices, by pulses",
    "kernel": "the weights that are used at a location",
    "latency": "time from an image to its answer, products of a tile one after another",
    "ledger": "counts of what the hardware did, by layer and phase",
    "location": "a place of a layer's output map",
    "most taken for": "the wrong class that a class gets most often",
    "not learned": "not above the most frequent class by three binomial standard deviations",
    "packing": "how kernels smaller than an array lie in it",
    "placement": "which tile serves which location of an image, and which kernel it holds",
    "product": "one analog matrix-vector product of a tile (MVM)",
    "profile": "a file of hardware constants with their sources",
    "programming": "writing of trained weights to devices, with the noise of one chip",
    "pulse train": "the pulses that one vector sends on a line",
    "refresh": "rewriting of device pairs that have come near their bounds",
    "replicated": "one kernel on several tiles",
    "residual": "rms difference of copies, relative to their weights",
    "scope": "when arrays draw static power: while their layer works, while the network works, always",
    "static": "what arrays draw whether they work or not",
    "sync_every": "steps between two times at which copies are read, averaged and written again",
    "symmetry point": "the weight at which steps up and down are equal",
    "tile": "a crossbar with its converters",
    "time-multiplexed": "one tile, used at every location, one after another",
    "verdict": "whether a change is larger than what repeats differ by, smaller, or nothing at all",
    "verify": "reads by which write-verify finds out what devices hold",
    "wear": "pulses on the busiest device, against what devices survive",
    "word line": "carries an input voltage to a row of devices",
    "write-verify": "write, read, correct, until close enough",
}
_FORMS: Final = {form: word for word in WORDS for form in (word.lower(), f"{word.lower()}s")} | {
    "copy": "copies",
    "hwa": "hardware-aware",
    "mvm": "product",
    "mvms": "product",
    "not shared": "free",
    "one tile": "time-multiplexed",
}
_PATTERN: Final = re.compile(
    rf"(?<![\w-])({'|'.join(sorted(map(re.escape, _FORMS), key=len, reverse=True))})(?![\w-])", re.IGNORECASE
)


def meaning_of(text: str) -> str | None:
    """Return what the first word of the glossary in a text means; None if there is none."""
    found = _PATTERN.search(text)
    return None if found is None else _told(_FORMS[found[1].lower()])


def words_in(texts: Iterable[str]) -> list[str]:
    """Return the entries of the glossary whose words stand in texts, in alphabetical order."""
    found = {_FORMS[word.lower()] for text in texts for word in _PATTERN.findall(text)}
    return [f"{_told(word)}." for word in sorted(found, key=str.lower)]


def _told(word: str) -> str:
    return f"{word}: {WORDS[word]}"


def glossary_page() -> str:
    """Return the page of the documentation."""
    rows = [f"| {word} | {WORDS[word]} |" for word in sorted(WORDS, key=str.lower)]
    return "\n".join(["# Glossary", "", "| word | means |", "|---|---|", *rows, ""])


if __name__ == "__main__":
    print(glossary_page(), end="")
