"""What updates do to the devices while a network learns in situ, recorded every n steps.

For each recorded step, layer and tile, with dw the change of the weights that an MVM reads, and g = -lr * d^T x,
summed over the mini-batch, the change that ideal devices would have made:

    cosine             of the angle between dw and g
    gain               <dw, g> / <g, g>: how much of the wanted change is made
    signal_to_noise    <g, g> / <dw - g, dw - g>: wanted change to error, as powers
    at_bound           fraction of devices less than a step away from one of their bounds
    symmetry_distance  root mean square distance of the devices from their symmetry points, after the update
    weight_norm        root of the sum of squares, in units of the devices
    weight_spread      standard deviation over the devices of the tile

and for layers of several tiles

    copies_rms         rms difference between a copy and the mean of its kernel's copies, relative to the rms of the
                       kernels' weights; only where kernels have copies
    copies_largest     the largest such difference, relative to the same
    weight_snr         signal-to-noise ratio of the weights over all locations (`crossbar.residual`)

and, for each role that devices have in the algorithm ("main"; "fast" and "slow"; ...), mean and maximum of the
pulses that they have received since the start, and their histogram over the whole layer. A quantity without a value
(the angle to a gradient of zero, the error where nothing moves, the symmetry point of a device without one) is NaN.

One column is one array of the .npz file: `step` (rows,), `learning_rate` (rows,), `<layer>/cosine` (rows, tiles)
and so on, `<layer>/copies_rms` (rows,), `<layer>/<role>/pulses_mean` (rows, tiles),
`<layer>/<role>/pulses_histogram` (rows, bins); `pulse_bins` holds the lower edges of the bins. `<layer>/devices`
(tiles,) counts the devices of each tile, `<layer>/tile_of_location` tells where the tiles stand on the map of
`<layer>/map_size`, and kernels larger than a tile take `<layer>/tiles_per_kernel` of them.
"""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from crossbar import TileArray, model_sharing, tile_arrays
from crossbar.layers.placed_layer import PlacedLayer
from crossbar.learning import UnitCells
from devices.files import write_atomically
from devices.pulsed.symmetry import symmetry_points

from .record import PULSE_BINS, read_columns

Row = dict[str, Any]


@final
class Recorder:
    """Watches a model's updates, and keeps one row of numbers for each watched step.

    It changes nothing that it watches: the same run without it gives the same numbers.

    Args:
        model: A model whose layers learn in situ, and whose devices count their pulses.
        every: Watch the first of so many steps, and the very last one; 0 watches none.
        steps: Number of steps of the whole training.
    """

    def __init__(self, model: nn.Module, every: int, steps: int) -> None:
        self.every, self.steps = every, steps
        self.rows: list[Row] = []
        self._watched: dict[str, _WatchedLayer] = {}
        self._fixed: Row = {}
        for name, array in tile_arrays(model) if every else ():
            if array.in_situ is None:
                continue
            layer = name.rpartition(".")[0]
            module = model.get_submodule(layer)
            self._watched[layer] = _WatchedLayer(module, array, array.in_situ.cells)
            places = place_columns(module, array)
            self._fixed.update({f"{layer}/{key}": value for key, value in places.items()})

    @contextmanager
    def watching(self, step: int, learning_rate: float) -> Iterator[None]:
        """Record the updates inside the block, if the step is to be recorded.

        Args:
            step: Number of steps taken before.
            learning_rate: That of the step.
        """
        if not self.every or (step % self.every and step != self.steps - 1):
            yield
            return
        for layer in self._watched.values():
            layer.start()
        try:
            yield
        finally:
            for layer in self._watched.values():
                layer.array.on_update = None
        row: Row = {"step": np.int64(step), "learning_rate": np.float64(learning_rate)}
        for name, layer in self._watched.items():
            row.update({f"{name}/{key}": value for key, value in layer.finish().items()})
        self.rows.append(row)

    def save(self, path: Path) -> None:
        """Write all rows to a compressed .npz file, whole or not at all; nothing if none are recorded."""
        if not self.rows:
            return
        columns = {key: np.stack([row[key] for row in self.rows]) for key in self.rows[0]}
        content = io.BytesIO()
        arrays: Row = {"pulse_bins": PULSE_BINS, **self._fixed, **columns}
        np.savez_compressed(content, **arrays)
        write_atomically(path, content.getvalue())

    def restore(self, path: Path, step: int) -> None:
        """Read the rows of an interrupted training back; those from a step on are dropped, to be repeated.

        Raises:
            ValueError: If the file is damaged.
            FileNotFoundError: If it is missing although steps to be recorded have been taken.
        """
        if not self.every or step == 0:
            return
        columns = read_columns(path)
        expected = {"step", "learning_rate"} | {
            f"{name}/{key}" for name, layer in self._watched.items() for key in layer.finish()
        }
        if set(columns) != expected | set(self._fixed) | {"pulse_bins"}:
            raise ValueError(
                f"`run` must hold the record of its own network, but {path} has other columns. "
                "Start the run over with --force."
            )
        kept = int(np.searchsorted(columns["step"], step))
        self.rows = [{key: columns[key][i] for key in expected} for i in range(kept)]


def place_columns(layer: nn.Module, array: TileArray) -> Row:
    """Return how many devices a layer's tiles have, and where its tiles stand on the image plane."""
    population = array.tile_population()
    devices = np.full(array.tiles, array.out_size * array.in_size)
    if population is not None:
        devices = population.sum(dim=(1, 2)).cpu().numpy()
    row: Row = {"devices": devices}
    if isinstance(layer, PlacedLayer) and not layer.placement.redraw:
        row["tile_of_location"] = layer.placement.tile_of_location.cpu().numpy()
        *planes, columns = (
            layer.placement.output_size
        )  # a volume's planes one below the other, a signal as one row
        row["map_size"] = np.array((math.prod(planes), columns))
        row["tiles_per_kernel"] = np.int64(layer.blocks.per_kernel * layer.groups)
    return row


class _WatchedLayer:
    """One layer's array: listens to its updates, and looks at its devices."""

    def __init__(self, layer: nn.Module, array: TileArray, cells: UnitCells) -> None:
        self.layer, self.array, self.cells = layer, array, cells
        population = array.tile_population()
        shape = (array.tiles, array.out_size, array.in_size)
        self.present = torch.ones(shape, dtype=torch.bool) if population is None else population
        self.is_full = population is None
        self.devices = self.present.sum(dim=(1, 2))
        symmetry = symmetry_points(self.cells.slow())
        self.has_point = (self.present & symmetry.isfinite()).float()
        self.symmetry = torch.nan_to_num(symmetry)
        self._row = _no_update(array.tiles)

    def start(self) -> None:
        """Listen to the next update."""
        self._row = _no_update(self.array.tiles)
        self.array.on_update = self._note

    def _note(self, x: Tensor, d: Tensor, learning_rate: float, before: Tensor, after: Tensor) -> None:
        ideal = self._of_devices(torch.bmm(d.transpose(1, 2), x) * -learning_rate)
        change = self._of_devices(after - before)
        wanted, made = _power(ideal), _power(change)
        along = torch.einsum("toi,toi->t", change, ideal)
        self._row = {
            "cosine": _numpy(along / (wanted.sqrt() * made.sqrt())),
            "gain": _numpy(along / wanted),
            "signal_to_noise": _numpy(torch.where(made > 0, wanted / _power(change - ideal), torch.nan)),
        }

    def finish(self) -> Row:
        """Return the row: what the update did, and how the devices stand."""
        devices = self.cells.slow()
        hidden = devices.hidden_weight
        position = hidden if devices.reference is None else hidden + devices.reference
        room = torch.minimum(devices.max_bound - position, position - devices.min_bound)
        is_at_bound = (room < devices.granularity) & self.present
        weight = self._of_devices(self.array.weight)
        power, mean = _power(weight), weight.sum(dim=(1, 2)) / self.devices
        row = {
            **self._row,
            "at_bound": _numpy(is_at_bound.sum(dim=(1, 2)) / self.devices),
            "symmetry_distance": _numpy(
                (_power((hidden - self.symmetry) * self.has_point) / self.has_point.sum(dim=(1, 2))).sqrt()
            ),
            "weight_norm": _numpy(power.sqrt()),
            "weight_spread": _numpy(
                (_power(self._of_devices(weight - mean[:, None, None])) / self.devices).sqrt()
            ),
        }
        row.update(_sharing_columns(self.layer))
        for role, part in self.cells.device_arrays().items():
            pulses = self._of_devices(part.pulses())
            row[f"{role}/pulses_mean"] = _numpy(pulses.sum(dim=(1, 2)) / self.devices)
            row[f"{role}/pulses_max"] = pulses.amax(dim=(1, 2)).cpu().numpy()
            row[f"{role}/pulses_histogram"] = self._histogram(pulses)
        return row

    def _histogram(self, pulses: Tensor) -> "np.ndarray[Any, Any]":
        # The exponent of a float is the number of its bin: 0 for 0, 1 for 1, 2 for 2 and 3, 3 for 4 to 7.
        bins = np.frexp(pulses.cpu().numpy())[1]
        counts = np.bincount(bins.ravel(), minlength=len(PULSE_BINS))
        counts[0] -= self.present.numel() - int(self.devices.sum())  # places without a device
        return counts

    def _of_devices(self, values: Tensor) -> Tensor:
        """Return values with zeros where no device exists."""
        return values if self.is_full else values * self.present


def _sharing_columns(layer: nn.Module) -> Row:
    """Return how equal the tiles of a layer are; nothing for a layer of one tile."""
    if not isinstance(layer, PlacedLayer) or layer.placement.tiles == 1:
        return {}
    sharing = model_sharing(layer)[""]
    row: Row = {"weight_snr": np.float32(sharing.signal_to_noise)}
    if sharing.copies is not None:
        row["copies_rms"] = np.float32(sharing.copies.rms)
        row["copies_largest"] = np.float32(sharing.copies.largest)
    return row


def _no_update(tiles: int) -> Row:
    nothing = np.full(tiles, np.nan, np.float32)
    return {"cosine": nothing, "gain": nothing, "signal_to_noise": nothing}


def _power(values: Tensor) -> Tensor:
    """Return the sum of squares of each tile."""
    return torch.einsum("toi,toi->t", values, values)


def _numpy(values: Tensor) -> "np.ndarray[Any, Any]":
    result: np.ndarray[Any, Any] = values.float().cpu().numpy()
    return result
