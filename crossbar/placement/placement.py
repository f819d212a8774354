"""Placement: which tile serves an image location, and which kernel a tile is meant to hold.

Two index maps say it all. A convolution, a locally connected layer and everything between them differ in
nothing else. Locations are numbered row-major over the output map.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

import torch
from torch import Tensor

from devices.streams import generator

Option = int | bool
Options = dict[str, Option]
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Placement:
    """How L output locations share T physical tiles, and those K independent kernels.

    Make one with `placement`. Two placements are equal if their names, options, sizes and maps are.

    Args:
        name: Name of the scheme.
        output_size: Sizes of the output map: (length,), (rows, columns), or (planes, rows, columns).
        tile_of_location: (L,), which tile serves a location.
        kernel_of_tile: (T,), which kernel a tile is meant to hold.
        options: The scheme's options, all of them, in the order of its signature.
    """

    name: str
    output_size: Shape
    tile_of_location: Tensor
    kernel_of_tile: Tensor
    options: Options = field(default_factory=dict)

    @property
    def locations(self) -> int:
        """Number of output locations, L."""
        return len(self.tile_of_location)

    @property
    def tiles(self) -> int:
        """Number of physical tiles, T."""
        return len(self.kernel_of_tile)

    @cached_property
    def kernels(self) -> int:
        """Number of independent kernels, K."""
        return int(self.kernel_of_tile.max()) + 1

    @property
    def kernel_of_location(self) -> Tensor:
        """Which kernel is meant to serve a location, (L,)."""
        return self.kernel_of_tile[self.tile_of_location]

    @property
    def redraw(self) -> bool:
        """Whether the assignment is drawn anew at every forward pass."""
        return bool(self.options.get("redraw", False))

    @property
    def sync_every(self) -> int:
        """Updates in place between two synchronisations of the copies; 0 where every update goes to all copies."""
        return int(self.options.get("sync_every", 0))

    @property
    def spec(self) -> str:
        """The name with all its options, as `placement` reads it."""
        options = ",".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.name}({options})" if options else self.name

    def redrawn(self, rng: torch.Generator) -> "Placement":
        """Return the same placement with its locations assigned to tiles anew, drawn once per call.

        Args:
            rng: Where the assignment is drawn from.

        Raises:
            ValueError: If the placement is not a random one.
        """
        if self.name != "random":
            raise ValueError(f"`name` must be 'random' to be drawn anew, but is {self.name!r}. Use 'random'.")
        return replace(self, tile_of_location=_draw_balanced(self.locations, self.tiles, rng))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Placement):
            return NotImplemented
        return (
            (self.spec, self.output_size) == (other.spec, other.output_size)
            and torch.equal(self.tile_of_location, other.tile_of_location)
            and torch.equal(self.kernel_of_tile, other.kernel_of_tile)
        )

    def __hash__(self) -> int:
        return hash((self.spec, self.output_size))


def as_placement(chosen: str | Placement, output_size: Shape) -> Placement:
    """Return the placement that a layer was given, by name or ready-made.

    Raises:
        ValueError: If a ready-made one is for another output map, or a name or option is wrong.
    """
    if isinstance(chosen, str):
        return placement(chosen, output_size)
    if tuple(chosen.output_size) != tuple(output_size):
        raise ValueError(
            f"`placement` must be made for the output size {output_size}, but is for {chosen.output_size}. "
            f"Make it with `placement({chosen.spec!r}, {output_size})`."
        )
    return chosen


def placement(name: str, output_size: Shape, **options: Option) -> Placement:
    """Say which tile serves which location of an output map, and which kernel each tile holds.

    - `free`: every location its own kernel on its own tile.
    - `time_multiplexed`: one kernel on one tile, used at every location in turn.
    - `replicated(tiles=L, sync_every=0)`: one kernel on many tiles; location l goes to tile l % tiles. While the
      copies are trained in place, every update goes to all of them; or, with `sync_every`, each learns from its own
      locations, and after so many updates all are averaged and written to the mean. Only in-situ training heeds it.
    - `blocks(rows, cols)`: the map is cut into rows x cols near-equal regions, each with its own kernel; that of a
      signal by `blocks(cols)`, that of a volume by `blocks(planes, rows, cols)`.
    - `random(tiles, redraw=False, seed=0)`: locations are dealt to tiles at random, equally many to each
      up to one, once or (`redraw=True`) anew at every forward pass.
    - `interleaved(period)`: locations i::period, j::period share a kernel; so along every axis.

    Args:
        name: One of these names, or a name with options in one string, as "blocks(rows=2,cols=2)".
        output_size: Sizes of the output map: (length,), (rows, columns), or (planes, rows, columns).
        options: The options, unless the string has them.

    Returns:
        The placement.

    Raises:
        ValueError: If the name or an option is unknown, missing, or does not fit the output map.
        TypeError: If an option has the wrong type.

    Example:
        >>> placement("interleaved", (2, 4), period=2).kernel_of_location.reshape(2, 4)
        tensor([[0, 1, 0, 1],
                [2, 3, 2, 3]])
        >>> placement("replicated(tiles=4)", (6, 6)).spec
        'replicated(tiles=4,sync_every=0)'
    """
    if min(output_size) < 1:
        least = (1,) * len(output_size)
        raise ValueError(f"`output_size` must be at least {least}, but is {output_size}. Give a larger map.")
    name, written = _parse(name)
    if name not in _SCHEMES:
        raise ValueError(
            f"`name` must be one of {', '.join(sorted(_SCHEMES))}, but is {name!r}. {_hint(name, _SCHEMES)}"
        )
    doubled = written.keys() & options.keys()
    if doubled:
        raise ValueError(f"`{doubled.pop()}` must be given once, but is given in the name too. Remove one.")
    scheme, defaults = _SCHEMES[name]
    if name == "blocks":
        defaults = dict.fromkeys(list(_AXES)[-len(output_size) :], _REQUIRED)
    size = tuple(output_size)
    complete = _complete(name, defaults, written | options, math.prod(size))
    tile_of_location, kernel_of_tile = scheme(size, complete)
    return Placement(name, size, tile_of_location, kernel_of_tile, complete)


Maps = tuple[Tensor, Tensor]


def _free(size: Shape, options: Options) -> Maps:
    locations = math.prod(size)
    return torch.arange(locations), torch.arange(locations)


def _time_multiplexed(size: Shape, options: Options) -> Maps:
    return torch.zeros(math.prod(size), dtype=torch.long), torch.zeros(1, dtype=torch.long)


def _replicated(size: Shape, options: Options) -> Maps:
    # Round robin and not in strips: every copy then meets the whole image, so that copies which learn between
    # two synchronisations do not specialise on a region, and the locations served at the same moment are
    # neighbours, whose patches overlap and are fetched once.
    locations, tiles = math.prod(size), options["tiles"]
    _check_range("replicated", "tiles", tiles, locations, "locations")
    return torch.arange(locations) % tiles, torch.zeros(tiles, dtype=torch.long)


def _blocks(size: Shape, options: Options) -> Maps:
    regions = []
    for (axis, number), length in zip(options.items(), size, strict=True):
        _check_range("blocks", axis, number, length, f"{_AXES[axis]} of the output map")
        regions.append(torch.arange(length) * number // length)
    return _numbered(regions, list(options.values())), torch.arange(math.prod(options.values()))


def _random(size: Shape, options: Options) -> Maps:
    locations, tiles = math.prod(size), options["tiles"]
    _check_range("random", "tiles", tiles, locations, "locations")
    rng = generator(options["seed"], "placement", "random")
    return _draw_balanced(locations, tiles, rng), torch.arange(tiles)


def _interleaved(size: Shape, options: Options) -> Maps:
    period = options["period"]
    _check_range("interleaved", "period", period, min(size), "rows and columns of the output map")
    phases = [torch.arange(length) % period for length in size]
    return _numbered(phases, [period] * len(size)), torch.arange(period ** len(size))


def _numbered(along: list[Tensor], numbers: list[int]) -> Tensor:
    """Number, row-major, what every location is along each axis: (L,)."""
    result = along[0]
    for of_axis, number in zip(along[1:], numbers[1:], strict=True):
        result = result[..., None] * number + of_axis
    return result.flatten()


# What is counted along each axis; the last ones are those of maps with fewer.
_AXES: Final = {"planes": "planes", "rows": "rows", "cols": "columns"}
_REQUIRED: Final = None
_ALL_LOCATIONS: Final = "L"  # a copy for each location
_SCHEMES: Final[dict[str, tuple[Callable[[Shape, Options], Maps], dict[str, Option | str | None]]]] = {
    "free": (_free, {}),
    "time_multiplexed": (_time_multiplexed, {}),
    "replicated": (_replicated, {"tiles": _ALL_LOCATIONS, "sync_every": 0}),
    "blocks": (_blocks, {"rows": _REQUIRED, "cols": _REQUIRED}),  # along the axes that there are
    "random": (_random, {"tiles": _REQUIRED, "redraw": False, "seed": 0}),
    "interleaved": (_interleaved, {"period": _REQUIRED}),
}


def _draw_balanced(locations: int, tiles: int, rng: torch.Generator) -> Tensor:
    """Deal locations to tiles, floor or ceil of locations / tiles each; which get more is random too."""
    place = torch.randperm(locations, generator=rng, device=rng.device).cpu()
    label = torch.randperm(tiles, generator=rng, device=rng.device).cpu()
    return label[place % tiles]


def _parse(text: str) -> tuple[str, Options]:
    """Read "name" or "name(option=value,...)"."""
    match = re.fullmatch(r"\s*([\w-]+)\s*(?:\((.*)\))?\s*", text)
    if match is None:
        raise ValueError(
            f"`name` must read like 'blocks(rows=2,cols=2)', but is {text!r}. Check its brackets."
        )
    name, inside = match.groups()
    options: Options = {}
    for item in (inside or "").split(",") if (inside or "").strip() else []:
        pair = re.fullmatch(r"\s*(\w+)\s*=\s*(-?\d+|True|False|true|false)\s*", item)
        if pair is None or pair[1] in options:
            raise ValueError(
                f"`name` must give each option once, as option=number or option=True, but has "
                f"{item.strip()!r} in {text!r}. Write for example 'blocks(rows=2,cols=2)'."
            )
        value = pair[2].lower()
        options[pair[1]] = value == "true" if value in ("true", "false") else int(value)
    return name, options


def _complete(name: str, defaults: dict[str, Option | str | None], given: Options, locations: int) -> Options:
    """Check the given options and add the defaults, in the order of the scheme's signature."""
    for key in given.keys() - defaults.keys():
        known = f"one of {', '.join(defaults)}" if defaults else "none"
        raise ValueError(
            f"The options of {name!r} must be {known}, but {key!r} is given. {_hint(key, defaults)}"
        )
    options: Options = {}
    for key, default in defaults.items():
        value = given.get(key, locations if default == _ALL_LOCATIONS else default)
        if value is None:
            raise ValueError(
                f"`{key}` must be given for {name!r}, but is missing. Write '{name}({key}=...)'."
            )
        expected = bool if isinstance(default, bool) else int
        if type(value) is not expected:
            rule = "True or False" if expected is bool else "a whole number"
            raise TypeError(f"`{key}` of {name!r} must be {rule}, but is {value!r}. Give {rule}.")
        options[key] = value
    if options.get("sync_every", 0) < 0:
        raise ValueError(
            f"`sync_every` of {name!r} must be at least 0 updates, but is {options['sync_every']}. Use 0 to send "
            "every update to all copies, 1 to synchronise them after every update."
        )
    return options


def _check_range(name: str, key: str, value: int, most: int, of_what: str) -> None:
    if not 1 <= value <= most:
        raise ValueError(
            f"`{key}` of {name!r} must lie in [1, {most}], the number of {of_what}, but is {value}. "
            "Choose a value in that range."
        )


def _hint(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.0)
    return f"Did you mean {close[0]!r}?" if close else "Remove it."
