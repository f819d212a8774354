"""Read what a recorder wrote: columns of numbers, no pickled objects."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from devices.files import read_arrays, read_regular

Column = np.ndarray[Any, Any]

# Lower edges of the bins that pulses are counted in: none, 1, 2 to 3, 4 to 7, ... up to what an int32 counts.
PULSE_BINS: Final = np.array([0, *(1 << np.arange(31))])
# What an update did, against what it should have done; all else says how the devices stand.
OF_THE_UPDATE: Final = ("cosine", "gain", "signal_to_noise")
# How equal the tiles of a layer are; only for layers of several tiles that are meant or could be meant to be equal.
OF_THE_LAYER: Final = ("copies_rms", "copies_largest", "weight_snr")

_OF_THE_DEVICES: Final = ("at_bound", "symmetry_distance", "weight_norm", "weight_spread")
# How many devices tiles have, and where they stand; the same for all rows.
_OF_PLACES: Final = ("devices", "tile_of_location", "map_size", "tiles_per_kernel")


def read_columns(path: Path) -> dict[str, Column]:
    """Read all columns of a record.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no record, or a damaged one.
    """
    try:
        content = read_regular(path, "run")
    except FileNotFoundError:
        raise FileNotFoundError(f"`run` must be a whole run folder, but {path} is missing.") from None
    try:
        columns = read_arrays(content)
        _check_columns(columns)
    except ValueError as error:
        raise ValueError(
            f"`run` must hold an undamaged record, but {path} is damaged: {error}. Start the run over with --force."
        ) from None
    return columns


def _check_columns(columns: dict[str, Column]) -> None:
    """Refuse columns of other names and shapes than `recorder` writes."""
    for name, values in columns.items():
        if values.dtype.kind not in "iuf":
            raise ValueError(f"{name} holds no numbers")
    if not {"step", "learning_rate", "pulse_bins"} <= columns.keys():
        raise ValueError("it lacks columns")
    steps = columns["step"]
    if steps.ndim != 1 or steps.dtype.kind not in "iu" or not len(steps):
        raise ValueError("it has no steps")
    if steps[0] < 0 or (np.diff(steps) <= 0).any():
        raise ValueError("its steps do not ascend")
    rows, bins = len(steps), len(PULSE_BINS)
    tiles = {
        name.removesuffix("/devices"): values for name, values in columns.items() if name.endswith("/devices")
    }
    shapes: dict[str, tuple[int, ...]] = {"step": (rows,), "learning_rate": (rows,), "pulse_bins": (bins,)}
    optional = set()
    for layer, devices in tiles.items():
        _check_places(columns, layer, devices)
        shapes |= {f"{layer}/{name}": (rows, *devices.shape) for name in (*OF_THE_UPDATE, *_OF_THE_DEVICES)}
        optional |= {f"{layer}/{name}" for name in (*_OF_PLACES, *OF_THE_LAYER)}
        shapes |= {
            f"{layer}/{name}": columns[f"{layer}/{name}"].shape
            for name in _OF_PLACES
            if f"{layer}/{name}" in columns
        }
        shapes |= {f"{layer}/{name}": (rows,) for name in OF_THE_LAYER}
        for role in {
            name.split("/")[1] for name in columns if name.startswith(f"{layer}/") and name.count("/") == 2
        }:
            shapes |= {f"{layer}/{role}/pulses_{what}": (rows, *devices.shape) for what in ("mean", "max")}
            shapes[f"{layer}/{role}/pulses_histogram"] = (rows, bins)
    strange = columns.keys() - shapes.keys()
    missing = shapes.keys() - columns.keys() - optional
    if strange or missing or not np.array_equal(columns["pulse_bins"], PULSE_BINS):
        raise ValueError(
            f"it has {min(strange)}" if strange else f"it lacks {min(missing, default='its bins')}"
        )
    for name, values in columns.items():
        if values.shape != shapes[name]:
            raise ValueError(f"{name} has the shape {values.shape}, not {shapes[name]}")


def _check_places(columns: dict[str, Column], layer: str, devices: Column) -> None:
    """Refuse places of tiles on a map that no layer has."""
    if devices.ndim != 1 or devices.dtype.kind not in "iu" or not (devices >= 0).all() or not devices.any():
        raise ValueError(f"{layer}/devices counts no devices")
    places = [columns.get(f"{layer}/{name}") for name in _OF_PLACES[1:]]
    if all(values is None for values in places):
        return
    tile_of_location, map_size, per_kernel = places
    if (
        tile_of_location is None or map_size is None or per_kernel is None
        or map_size.shape != (2,) or tile_of_location.shape != (int(map_size.prod()),) or per_kernel.shape != ()
        or per_kernel < 1 or len(devices) % int(per_kernel)
        or {values.dtype.kind for values in (tile_of_location, map_size, per_kernel)} > {"i", "u"}
        or not ((tile_of_location >= 0) & (tile_of_location < len(devices) // int(per_kernel))).all()
    ):  # fmt: skip
        raise ValueError(f"the places of {layer} are none on a map")


@final
@dataclass(frozen=True)
class Record:
    """What was recorded of a training.

    Attributes:
        columns: Every array of the file, by name (see `recorder`).
    """

    columns: dict[str, Column]

    @classmethod
    def read(cls, path: Path) -> "Record":
        """Read a record from the disk; errors as those of `read_columns`."""
        return cls(read_columns(path))

    @property
    def steps(self) -> Column:
        """(rows,) number of the step of each row, counted from 0."""
        return self.columns["step"]

    @property
    def layers(self) -> list[str]:
        """Names of the layers, from the image inwards."""
        return [name.removesuffix("/devices") for name in self.columns if name.endswith("/devices")]

    def roles(self, layer: str) -> list[str]:
        """Return the roles of a layer's devices in the learning algorithm."""
        parts = [name.split("/") for name in self.columns if name.startswith(f"{layer}/")]
        return [role for _, role, quantity in (p for p in parts if len(p) == 3) if quantity == "pulses_mean"]

    def of_layer(self, layer: str, quantity: str) -> Column:
        """Return (rows,): a quantity of a whole layer; NaN where no tile has it.

        Of what an update did, the median over the tiles, as the ratio for a tile without much to learn can be
        anything; of the devices, the mean over all of them. How equal tiles are has one value for the layer.
        """
        values = self.columns[f"{layer}/{quantity}"].astype(float)
        is_known = np.isfinite(values)
        if quantity in OF_THE_LAYER:
            return np.where(is_known, values, np.nan)
        if quantity in OF_THE_UPDATE:
            medians = [
                np.median(row[known]) if known.any() else np.nan
                for row, known in zip(values, is_known, strict=True)
            ]
            return np.array(medians)
        weights = np.where(is_known, self.columns[f"{layer}/devices"], 0.0)
        with np.errstate(invalid="ignore"):
            mean: Column = np.where(is_known, values * weights, 0.0).sum(axis=1) / weights.sum(axis=1)
        return mean

    def layers_with(self, quantity: str) -> list[str]:
        """Return the layers of which a quantity was recorded; older records lack some."""
        return [layer for layer in self.layers if f"{layer}/{quantity}" in self.columns]

    def on_map(self, layer: str, quantity: str) -> Column | None:
        """Return (height, width): the last row of a quantity, averaged over the tiles that serve each location.

        None for layers without a map, and where the tiles of a location are drawn anew at every pass.
        """
        if f"{layer}/tile_of_location" not in self.columns:
            return None
        values = self.columns[f"{layer}/{quantity}"][-1].astype(float)
        per_kernel = int(self.columns[f"{layer}/tiles_per_kernel"])
        devices = self.columns[f"{layer}/devices"].reshape(-1, per_kernel)
        of_tile = (values.reshape(-1, per_kernel) * devices).sum(axis=1) / devices.sum(axis=1)
        height, width = self.columns[f"{layer}/map_size"]
        result: Column = of_tile[self.columns[f"{layer}/tile_of_location"]].reshape(height, width)
        return result
