"""What a training step of one layer makes happen, from its sizes alone: closed forms of what a ledger counts.

For layers that are too large to be emulated, and to see on what a cost depends. Tests compare them with ledgers that
were counted, and the bytes with those that torch's profiler sees.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, final

from devices.units import Dimensionless

from .events import LayerEvents, LayerShape

BYTES: Final = 4  # of a number in float32, which processes exchange
_OF_AGREED: Final = 8  # of a number that processes agree on


@final
@dataclass(frozen=True, kw_only=True)
class Step:
    """A training step in place of one layer whose devices all exist.

    Attributes:
        images: Of the batch.
        passes_on: Whether the gradient goes on to a layer before.
        slots: Of the pulse train of one vector.
        duty: Part of the slots in which a line pulses.
    """

    images: int
    passes_on: bool
    slots: int = 31
    duty: Dimensionless = 1.0

    def events(self, shape: LayerShape) -> LayerEvents:
        """Return what happens on the tiles of a layer.

        Every image gives every location a vector. Where tiles hold copies of a kernel, as many locations each,
        updates are broadcast.

        Args:
            shape: Sizes of the layer; kernels that are cut into blocks convert for each of them.
        """
        layer = LayerEvents(shape=shape)
        rows, columns = shape.grid
        vectors, serial = self.images * shape.locations * shape.groups, self.images * shape.width
        inputs, outputs = shape.in_size, shape.out_size
        phases = {"forward": (inputs * rows, outputs * columns, outputs)}
        if self.passes_on:
            phases["backward"] = (outputs * columns, inputs * rows, inputs)
        for phase, (driven, read, numbers) in phases.items():
            crosses = shape.tiles > 1 or phase == "backward"
            layer.add(
                phase,
                mvms=vectors * rows * columns,
                dac_conversions=vectors * driven,
                adc_conversions=vectors * read,
                cell_reads=vectors * shape.cells,
                serial_mvms=serial,
                partial_sums=vectors * (read - numbers),
                scalings=vectors * numbers,
                input_bytes=vectors * driven,
                output_bytes=vectors * numbers,
                network_bytes=vectors * (numbers + (driven if crosses else 0)),
            )
        copies = shape.tiles // shape.kernels
        received = vectors * copies
        layer.add(
            "update",
            updates=received,
            network_bytes=vectors * (inputs + outputs) * (copies - 1),
            line_pulses=round(received * self.slots * self.duty * (inputs * rows + outputs * columns)),
            update_pulses=round(received * self.slots * self.duty**2 * shape.cells),
            serial_slots=serial * copies * self.slots,
        )
        return layer


def shares(number: int, among: int) -> list[int]:
    """Return how many of some things each of several processes has: as equal as it goes."""
    return [stop - start for start, stop in pairwise(number * share // among for share in range(among + 1))]


def bytes_of_maps(locations: int, outputs: int, images: int, processes: int) -> int:
    """Return what one process receives forward where every process holds the tiles of its locations.

    The output map comes from all the others, in parts of one size: the largest.

    Args:
        locations: Of the layer.
        outputs: Of a location.
        images: Of the batch.
        processes: How many there are.
    """
    return (processes - 1) * max(shares(locations, processes)) * outputs * images * BYTES


def bytes_of_updates(vectors: int, lines: int, processes: int) -> int:
    """Return what one process receives of an update in place where every process has a share of the images.

    All devices of a shared kernel receive the pulses of all vectors, so inputs and gradients of the others' images
    come in, and how many they are.

    Args:
        vectors: Of the batch: images times locations of a kernel.
        lines: Word and bit lines.
        processes: How many there are.
    """
    return (processes - 1) * (vectors // processes * lines * BYTES + 2 * _OF_AGREED)


def bytes_of_gradients(weights: int, processes: int) -> int:
    """Return what one process receives where the gradients of weights are averaged, by the best of ways.

    Every process gets its share of all partial sums, and then the shares that the others have finished: that is the
    least that an average takes, and what a ring takes.

    Args:
        weights: Of the layer: of all its kernels.
        processes: How many there are.
    """
    return 2 * (processes - 1) * -(-weights // processes) * BYTES
