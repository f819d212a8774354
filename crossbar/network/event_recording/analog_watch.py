"""Watching a layer on tiles: every product and every gradient as it comes by, all else at the end."""

from functools import partial

import torch
from torch import Tensor, nn

from ...cost.events import LayerEvents
from ...layers.analog_layer import AnalogLayer
from ...layers.analog_transposed import AnalogConvTranspose
from ...layers.placed_layer import PlacedLayer
from .digital_watch import ALREADY, count_software
from .parts import PartsWatch, Tally
from .shapes import inputs_of, shape_of, tile_sizes

_BYTES_PER_ACCUMULATION = 8  # a number of 4 bytes is read and written
_BYTES_PER_GRADIENT = 4


class AnalogWatch:
    """Counts what an analog layer makes happen on its tiles.

    The forward hook sees every product, a hook on the outputs every gradient that comes back; what happens in
    between (pulses, repeated products, rows read by learning rules) is counted by the parts that do it
    (`PartsWatch`), and entered at the end.
    """

    def __init__(self, layer: AnalogLayer) -> None:
        self.array = array = layer.tile_array
        if array.events is not None:
            raise RuntimeError(ALREADY)
        self.events = array.events = LayerEvents(shape=shape_of(layer))
        self._layer = layer
        self._handles = [
            layer.register_forward_pre_hook(self._before_forward),
            layer.register_forward_hook(self._after_forward),
        ]
        self._parts = PartsWatch(array)

    def stop(self) -> None:
        """Stop counting, and enter what parts of the array have counted meanwhile."""
        for handle in self._handles:
            handle.remove()
        array, events = self.array, self.events
        array.periphery.repeats = array.events = None
        counted = self._parts.stop()
        self._enter(counted)
        events.most_pulses = counted.most_pulses

    def _before_forward(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        array = self.array
        array.periphery.repeats = torch.zeros(array.tiles, dtype=torch.int64, device=array.weight.device)

    def _after_forward(self, layer: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        shape, x = self.events.shape, inputs[0]
        repeats, self.array.periphery.repeats = self.array.periphery.repeats, None
        if isinstance(layer, PlacedLayer):
            vectors, serial = layer.products(x, y)
        else:
            vectors = serial = y.numel() // shape.out_size
        if layer.training and self.array.in_situ is None:
            count_software(self.events, self._present(vectors) * shape.out_size, x, True)
            return
        driven = self._present(vectors)
        self._count_products("forward", vectors, serial, driven, vectors * shape.out_size, shape.grid)
        if isinstance(layer, AnalogConvTranspose):
            self.events.add("forward", overlap_adds=layer.overlap_adds(x, y))
        assert repeats is not None
        self._count_repeats(repeats)
        if layer.training and y.requires_grad:
            y.register_hook(partial(self._on_gradient, vectors, serial, x.requires_grad))

    def _on_gradient(self, vectors: int, serial: int, passes_on: bool, gradient: Tensor) -> None:
        if self.array.events is not self.events:  # recorded forward, but not backward
            return
        shape = self.events.shape
        if passes_on:
            blocks = shape.grid[1], shape.grid[0]
            read = self._present(vectors)
            self._count_products("backward", vectors, serial, vectors * shape.out_size, read, blocks)
        cells, in_situ = self.array.cells, self.array.in_situ
        if cells is not None and cells.learns_in_digital:
            macs = self._present(vectors) * shape.out_size
            self.events.add("gradient", digital_macs=macs, accumulator_bytes=macs * _BYTES_PER_ACCUMULATION)
        elif in_situ is not None:
            copies = shape.tiles // shape.kernels if in_situ.copies is not None else 1
            lines = shape.in_size + shape.out_size
            self.events.add("update", updates=vectors * copies, network_bytes=vectors * lines * (copies - 1))

    def _present(self, vectors: int) -> int:
        """Return how many inputs that many vectors have, without those that are absent."""
        return inputs_of(self._layer, self.events.shape, vectors)

    def _count_products(
        self, phase: str, vectors: int, serial: int, driven: int, read: int, grid: tuple[int, int]
    ) -> None:
        """Count products of whole kernels.

        Args:
            phase: "forward" or "backward".
            vectors: How many.
            serial: Those of the busiest tile.
            driven: Their inputs.
            read: Their outputs.
            grid: Blocks of outputs, and blocks of inputs.
        """
        out_blocks, in_blocks = grid
        dac = driven * out_blocks
        # A tile of its own for each location, or copies, lie apart from the buffer; one tile lies at it.
        crosses = self.events.shape.tiles > 1 or phase == "backward"
        self.events.add(
            phase,
            mvms=vectors * out_blocks * in_blocks,
            dac_conversions=dac,
            adc_conversions=read * in_blocks,
            cell_reads=driven * read // max(vectors, 1),
            serial_mvms=serial,
            partial_sums=read * (in_blocks - 1),
            scalings=read,
            input_bytes=dac,
            output_bytes=read,
            network_bytes=read + (dac if crosses else 0),
        )

    def _count_repeats(self, repeats: Tensor) -> None:
        """Count the products that bound management asked for once more."""
        if not repeats.any():
            return
        outputs, inputs = tile_sizes(self._layer)
        repeats = repeats.cpu()
        self.events.add(
            "forward",
            mvms=int(repeats.sum()),
            dac_conversions=int((repeats * inputs).sum()),
            adc_conversions=int((repeats * outputs).sum()),
            cell_reads=int((repeats * inputs * outputs).sum()),
            serial_mvms=int(repeats.max()),
            input_bytes=int((repeats * inputs).sum()),
        )

    def _enter(self, counted: Tally) -> None:
        shape, events = self.events.shape, self.events
        written = counted.written
        if counted.writes:
            cells = self.array.cells
            exchanges = counted.writes if cells is not None and cells.learns_in_digital else 0
            sums = (shape.tiles - shape.kernels) * shape.cells * exchanges
            others = events.counts["synchronisation"]  # writes that were no gradient's
            events.add(
                "gradient",
                programming_pulses=written.pulses - others["programming_pulses"],
                verify_rows=written.verify_rows - others["verify_rows"],
                serial_rows=written.serial_rows - others["serial_rows"],
                allreduce_bytes=2 * sums * _BYTES_PER_GRADIENT,
                allreduce_adds=sums,
            )
        sent = events.total("programming_pulses")
        events.add(
            "update",
            update_pulses=counted.pulses - sent,
            line_pulses=counted.line_pulses,
            serial_slots=counted.slots,
        )
        if counted.rows_read:
            rows, values = counted.rows_read, counted.values_read
            events.add(
                "update",
                mvms=rows,
                dac_conversions=rows,
                adc_conversions=values,
                cell_reads=values,
                readback_rows=rows,
                serial_rows=-(-rows // self.array.tiles),
            )
