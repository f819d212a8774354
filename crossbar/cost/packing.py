"""How the kernels of a layer lie in physical arrays, which may be larger or smaller than they are.

A kernel larger than an array is cut once, by the size of the physical array, whatever tiles it was emulated on. An
array that is larger than a kernel is mostly empty unless it holds several. How they lie there decides how many of
them work at once, which word lines they share, and which cells between them carry current although they hold nothing.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal, final, get_args

from devices.units import Dimensionless

from ..layer_patterns import parse_choices
from .events import LayerShape
from .hardware_profile import HardwareProfile

PackingMode = Literal["none", "block", "union", "dense"]
"""none: one kernel in each array. block: kernels along the diagonal, with word and bit lines of their own; all work
at once, and the cells beside the diagonal carry current. union: kernels of neighbouring locations side by side, with
the word lines of the inputs that they share; all work at once. dense: as many as fit; one works at a time."""

PACKINGS: Final[tuple[PackingMode, ...]] = get_args(PackingMode)


def parse_packing(text: str) -> PackingMode | dict[str, PackingMode]:
    """Read how kernels are to be packed: one way for all layers, or by name pattern.

    Args:
        text: "block", or "conv*=block,dense1=none"; the first pattern that fits a layer counts, and layers that no
            pattern fits are not packed.

    Raises:
        ValueError: If there is no such packing, or a pattern is missing or given twice.

    Example:
        >>> parse_packing("union"), parse_packing("local*=block,dense1=none")
        ('union', {'local*': 'block', 'dense1': 'none'})
    """
    choices = parse_choices(text, argument="packing")
    if isinstance(choices, str):
        return _mode(choices)
    return {pattern: _mode(name) for pattern, name in choices.items()}


def _mode(name: str) -> PackingMode:
    for mode in PACKINGS:
        if name == mode:
            return mode
    raise ValueError(f"`packing` must be one of {', '.join(PACKINGS)}, but is {name!r}. Choose one of those.")


@final
@dataclass(frozen=True, kw_only=True)
class Packing:
    """How one layer lies in arrays. Every array is taken to be as full as the first.

    Attributes:
        mode: Which kind of packing came out; "none" where nothing can be packed.
        per_array: Kernels in an array.
        parallel: Those of them that work at once.
        word_lines: Word lines driven in one product of an array.
        bit_lines: Bit lines that give an output in it; several for one output where a weight takes several columns.
        rows: Word lines that a kernel takes in an array.
        occupied_word_lines: Word lines of an array that hold weights.
        split: Arrays that a kernel is cut into: along its outputs, along its inputs.
        groups: Sets of `per_array` kernels.
        arrays: Physical arrays.
        utilisation: Cells that hold a weight, of all.
        lines_in_use: Word lines and bit lines of an array that hold weights.
        inputs_shared: Inputs converted, relative to those of single kernels; below 1 where word lines are shared.
        powered_cells: Cells that carry current in a product, relative to those that hold a weight of it.
        activations: Products of arrays, relative to those of single kernels; below 1 where several work at once.
    """

    mode: PackingMode
    per_array: int
    parallel: int
    word_lines: int
    bit_lines: int
    rows: int
    occupied_word_lines: int
    split: tuple[int, int]
    groups: int
    arrays: int
    utilisation: Dimensionless
    lines_in_use: tuple[int, int]
    inputs_shared: Dimensionless
    powered_cells: Dimensionless
    activations: Dimensionless

    @property
    def serial(self) -> int:
        """Kernels of an array that work one after the other."""
        return -(-self.per_array // self.parallel)


def pack(shape: LayerShape, profile: HardwareProfile, mode: PackingMode, *, aligned: bool = False) -> Packing:
    """Lay a layer into physical arrays.

    Nothing is packed if there is one kernel only, or if a kernel takes more than one array. Word lines are shared
    (`union`) only where every location has a kernel of its own, so that neighbours always work together; otherwise
    kernels lie along the diagonal, as those of the groups of a convolution do, which see different channels.

    Args:
        shape: The layer.
        profile: The size of arrays, and how many bit lines a weight takes.
        mode: How kernels lie.
        aligned: Whether kernels are cut between channels only: an array then holds as many whole channels as fit.

    Raises:
        ValueError: If there is no such packing.
    """
    _mode(mode)
    rows, per_weight = profile.count("word_lines"), profile.count("columns_per_weight")
    columns = profile.count("bit_lines") // per_weight
    if columns == 0:
        raise ValueError(
            f"`columns_per_weight` must be at most the {profile.count('bit_lines')} bit lines of an array, but is "
            f"{per_weight}. Correct the profile."
        )
    n, m = shape.in_size, shape.out_size
    window = math.prod(shape.kernel_size)
    usable = rows // window * window if aligned and window <= rows else rows
    split = -(-m // columns), -(-n // usable)
    own_kernels = shape.tiles == shape.locations and shape.groups == 1
    if shape.tiles == 1 or split != (1, 1):
        mode, n, m = "none", -(-n // split[1]), -(-m // split[0])
    elif mode == "union" and not own_kernels:
        mode = "block"
    per_array, word_lines = _arrangement(shape, mode, n, m, rows, columns)
    parallel = 1 if mode in ("none", "dense") else per_array
    if mode == "union":  # kernels of one array are neighbours on one row of the map
        *lines, map_columns = shape.map_size
        groups = math.prod(lines) * -(-map_columns // per_array)
    else:
        groups = -(-shape.tiles // per_array)
    arrays = groups * split[0] * split[1]
    stacked = -(-per_array // (columns // m)) if mode == "dense" else 1
    beside = min(per_array, columns // m) if mode == "dense" else parallel
    occupied = stacked * n if mode == "dense" else word_lines
    return Packing(
        mode=mode,
        per_array=per_array,
        parallel=parallel,
        word_lines=word_lines,
        bit_lines=parallel * m * per_weight,
        rows=n,
        occupied_word_lines=occupied,
        split=split,
        groups=groups,
        arrays=arrays,
        utilisation=shape.tiles * shape.cells / (arrays * rows * columns),
        lines_in_use=(occupied, beside * m * per_weight),
        inputs_shared=groups * word_lines / (shape.tiles * n) if mode == "union" else 1.0,
        powered_cells=groups * word_lines * parallel * m / (shape.tiles * n * m) if parallel > 1 else 1.0,
        activations=groups / shape.tiles if parallel > 1 else 1.0,
    )


def _arrangement(
    shape: LayerShape, mode: PackingMode, n: int, m: int, rows: int, columns: int
) -> tuple[int, int]:
    """Return how many kernels an array holds, and how many word lines are driven at once."""
    if mode == "none":
        return 1, n
    if mode == "dense":
        return min(shape.tiles, (rows // n) * (columns // m)), n
    if mode == "block":
        kernels = min(shape.tiles, rows // n, columns // m)
        return kernels, kernels * n
    kernels = min(columns // m, shape.map_size[-1])
    while kernels > 1 and _shared_word_lines(shape, kernels) > rows:
        kernels -= 1
    return kernels, _shared_word_lines(shape, kernels)


def _shared_word_lines(shape: LayerShape, kernels: int) -> int:
    """Return the inputs that neighbours on one row of the map see together; a bias is one input of all."""
    *heights, width = shape.kernel_size
    height, window = math.prod(heights), math.prod(shape.kernel_size) * shape.in_channels
    columns = width + (kernels - 1) * min(shape.stride[-1], width)
    return height * columns * shape.in_channels + shape.in_size - window
