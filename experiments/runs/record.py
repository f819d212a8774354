"""Read what a recorder wrote: columns of numbers, no pickled objects."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np

Column = np.ndarray[Any, Any]

# Lower edges of the bins that pulses are counted in: none, 1, 2 to 3, 4 to 7, ... up to what an int32 counts.
PULSE_BINS: Final = np.array([0, *(1 << np.arange(31))])
# What an update did, against what it should have done; all else says how the devices stand.
OF_THE_UPDATE: Final = ("cosine", "gain", "signal_to_noise")
# How equal the tiles of a layer are; only for layers of several tiles that are meant or could be meant to be equal.
OF_THE_LAYER: Final = ("copies_rms", "copies_largest", "weight_snr")


def read_columns(path: Path) -> dict[str, Column]:
    """Read all columns of a record.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no record, or a damaged one.
    """
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            columns = {name: archive[name] for name in archive.files}
        if len(columns["step"]) != len(columns["learning_rate"]) or "pulse_bins" not in columns:
            raise ValueError("it lacks columns, or rows in some")
    except FileNotFoundError:
        raise FileNotFoundError(f"`run` must be a whole run folder, but {path} is missing.") from None
    except (ValueError, KeyError, OSError, EOFError, AttributeError, zipfile.BadZipFile):
        raise ValueError(
            f"`run` must hold an undamaged record, but {path} is damaged. Start the run over with --force."
        ) from None
    return columns


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
