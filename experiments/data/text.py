"""A text as examples: windows of characters, of which each is to be followed by the right next one.

The last fifth of the text is for the test: what is between the windows of two parts is a whole piece of text, and not
single lines that the training has seen the rest of.
"""

from typing import Final

import numpy as np

from .own_data import Arrays

# Characters of a window; assumed: a line or less, so that a step of training takes a fraction of a second.
STEPS: Final = 32
_TEST_FRACTION: Final = 0.2
_FEWEST_WINDOWS: Final = 10


def parts_of_text(text: str, source: str) -> dict[str, Arrays]:
    """Cut a text into windows, and those into a part to train on and one to test with.

    Characters are numbered in the order of their code points. A window is (steps,) of numbers, its labels are those
    one character further. What does not fill a window is left out at the beginning of the text.

    Args:
        text: The text.
        source: What errors call it.

    Returns:
        The parts "train" and "test".

    Raises:
        ValueError: If there are fewer than ten windows, or fewer than two different characters.

    Example:
        >>> inputs, labels = parts_of_text("abcdefgh" * 50, "a text")["train"]
        >>> inputs.shape, inputs[0, :4].tolist(), labels[0, :4].tolist()
        ((10, 32), [7, 0, 1, 2], [0, 1, 2, 3])
    """
    windows = (len(text) - 1) // STEPS
    if windows < _FEWEST_WINDOWS:
        raise ValueError(
            f"`data` must hold a text of {_FEWEST_WINDOWS * STEPS + 1} characters or more, {_FEWEST_WINDOWS} windows "
            f"of {STEPS}, but {source} has {len(text)}. Give a longer one."
        )
    kept = text[len(text) - windows * STEPS - 1 :]
    characters = sorted(set(kept))
    if len(characters) < 2:
        raise ValueError(
            f"`data` must hold different characters, but {source} has only {characters[0]!r}. Give a text."
        )
    if kept[0] not in kept[1:]:  # nothing could be learned of a character that never follows
        return parts_of_text(kept[1:], source)
    numbers = np.searchsorted(np.array([ord(c) for c in characters]), [ord(c) for c in kept]).astype(np.int64)
    inputs, labels = numbers[:-1].reshape(windows, STEPS), numbers[1:].reshape(windows, STEPS)
    train = windows - max(1, round(_TEST_FRACTION * windows))
    return {"train": (inputs[:train], labels[:train]), "test": (inputs[train:], labels[train:])}


def decoded(content: bytes, source: str) -> str:
    """Read a file of text; line ends of any system are newlines.

    Raises:
        ValueError: If it is no text in UTF-8.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"`data` must be a text in UTF-8, but byte {error.start} of {source} is none. Save it as UTF-8."
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
