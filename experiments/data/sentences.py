"""A text without end, to learn to read characters by: sentences of a small grammar, drawn word by word.

It is written here, belongs to this program, and needs no download. It is easier than a text that somebody has
written: words repeat, and only their first letters are open.
"""

from typing import Final

import torch

from devices.streams import generator

_ADJECTIVES: Final = ("small", "slow", "noisy", "analog", "ideal", "broken", "cold")
_NOUNS: Final = ("tile", "cell", "wire", "kernel", "layer", "column", "pulse", "weight", "chip")
_VERBS: Final = ("reads", "writes", "moves", "shares", "scales", "forgets", "drives")
_ADVERBS: Final = ("again", "twice", "slowly", "at night", "without noise", "in one step")
_LINKS: Final = (" and ", ", but ", " while ")
_FRACTION: Final = 0.3  # assumed: of sentences with a second half, of nouns with an adjective


def sentences(characters: int) -> str:
    """Write a text of the grammar.

    The same one always, a longer one begins with a shorter one: drawn from the stream (0, "sentences").

    Args:
        characters: Its length.

    Example:
        >>> sentences(60)
        'a column moves a pulse.\\na wire scales every slow cell.\\na sma'
    """
    rng = generator(0, "sentences")

    def happens() -> bool:
        return bool(torch.rand((), generator=rng) < _FRACTION)

    def one_of(words: tuple[str, ...]) -> str:
        return words[int(torch.randint(len(words), (), generator=rng))]

    def noun() -> str:
        adjective = f"{one_of(_ADJECTIVES)} " if happens() else ""
        article = one_of(("the ", "a ", "every "))
        return f"{'an ' if article == 'a ' and adjective[:1] in ('a', 'i') else article}{adjective}{one_of(_NOUNS)}"

    def clause() -> str:
        end = f" {one_of(_ADVERBS)}" if happens() else ""
        return f"{noun()} {one_of(_VERBS)} {noun()}{end}"

    text = ""
    while len(text) < characters:
        text += clause() + (one_of(_LINKS) + clause() if happens() else "") + ".\n"
    return text[:characters]
