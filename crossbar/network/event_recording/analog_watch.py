"""Watching a layer on tiles: every product and every gradient as it comes by, all else at the end."""

from functools import partial

import torch
from torch import Tensor, nn

from devices.pulsed import WriteCounts

from ...cost.events import LayerEvents
from ...distributed import communication
from ...distributed.traffic import Traffic
from ...layers.analog_layer import AnalogLayer
from ...layers.analog_transposed import AnalogConvTranspose
from ...layers.placed_layer import PlacedLayer
from ...learning.synchronisation import count_refresh, sums_over_copies
from .digital_watch import ALREADY, count_software
from .existing import ExistingParts, lines_of_tiles
from .parts import PartsWatch, Tally
from .shapes import shape_of

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
        self._existing = ExistingParts(layer, self.events.shape)
        self._handles = [
            layer.register_forward_pre_hook(self._before_forward),
            layer.register_forward_hook(self._after_forward),
        ]
        self._parts = PartsWatch(array)
        self._received_before = self._received()

    def enter(self) -> None:
        """Enter what parts of the array have counted meanwhile, in all processes; all call it together."""
        self._enter_traffic()
        self.events.wear_is(self._parts.most_pulses())
        self._enter(self._parts.counted())

    def stop(self) -> None:
        """Stop counting."""
        for handle in self._handles:
            handle.remove()
        self.array.periphery.repeats = self.array.events = None
        self._parts.stop()

    def _received(self) -> Traffic:
        """Return what this process has received from others for the layer, if its tiles are spread over several."""
        spread = self._layer.spread if isinstance(self._layer, PlacedLayer) else None
        return Traffic() if spread is None else spread.traffic.copy()

    def _enter_traffic(self) -> None:
        received = self._received().since(self._received_before)
        for phase in ("forward", "backward", "update") if self.array.noise.part is not None else ():
            of_all = communication.everyones(received.received[phase])
            self.events.add(
                phase,
                process_bytes=int(sum(of_all)),
                serial_process_bytes=int(max(of_all)),
                process_exchanges=int(communication.most(received.exchanges[phase])),
            )

    def _before_forward(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.array.periphery.repeats = []

    def _after_forward(self, layer: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        shape, x = self.events.shape, inputs[0]
        repeats, self.array.periphery.repeats = self.array.periphery.repeats, None
        if isinstance(layer, PlacedLayer):
            vectors, serial = layer.products(x, y)
        else:
            vectors = serial = y.numel() // shape.out_size
        if layer.training and self.array.in_situ is None:
            count_software(self.events, self._existing.of(vectors).weights, x, True)
            return
        self._count_products("forward", vectors, serial)
        if isinstance(layer, AnalogConvTranspose):
            self.events.add("forward", overlap_adds=layer.overlap_adds(x, y))
        if repeats:
            of_vectors, part = torch.stack(repeats).sum(dim=0), self.array.noise.part
            of_vectors = of_vectors if part is None else part.gather(of_vectors)
            images = of_vectors.shape[1]  # that follow each other; a dense layer has one vector of each
            if isinstance(layer, PlacedLayer):
                images = 1 if layer.is_single(x) else len(x)
            self._count_repeats(of_vectors, of_vectors.shape[1] // images)
        if layer.training and y.requires_grad:
            y.register_hook(partial(self._on_gradient, vectors, serial, x.requires_grad))

    def _on_gradient(self, vectors: int, serial: int, passes_on: bool, gradient: Tensor) -> None:
        if self.array.events is not self.events:  # recorded forward, but not backward
            return
        shape = self.events.shape
        if passes_on:
            self._count_products("backward", vectors, serial)
        cells, in_situ = self.array.cells, self.array.in_situ
        if cells is not None and cells.learns_in_digital:
            macs = self._existing.of(vectors).weights
            self.events.add("gradient", digital_macs=macs, accumulator_bytes=macs * _BYTES_PER_ACCUMULATION)
        elif in_situ is not None:
            copies = shape.tiles // shape.kernels if in_situ.copies is not None else 1
            lines = shape.in_size + shape.out_size
            self.events.add("update", updates=vectors * copies, network_bytes=vectors * lines * (copies - 1))

    def _count_products(self, phase: str, vectors: int, serial: int) -> None:
        """Count products of whole kernels.

        Args:
            phase: "forward", or "backward", where bit lines are driven and word lines read.
            vectors: How many.
            serial: Those of the busiest tile.
        """
        shape, met = self.events.shape, self._existing.of(vectors)
        driven, read, numbers = met.word_lines, met.bit_lines, met.outputs
        if phase == "backward":
            driven, read, numbers = met.bit_lines, met.word_lines, met.inputs
        # A tile of its own for each location, or copies, lie apart from the buffer; one tile lies at it.
        crosses = shape.tiles > 1 or phase == "backward"
        self.events.add(
            phase,
            mvms=vectors * shape.grid[0] * shape.grid[1],
            dac_conversions=driven,
            adc_conversions=read,
            cell_reads=met.weights,
            serial_mvms=serial,
            partial_sums=read - numbers,
            scalings=numbers,
            input_bytes=driven,
            output_bytes=numbers,
            network_bytes=numbers + (driven if crosses else 0),
        )

    def _count_repeats(self, repeats: Tensor, width: int) -> None:
        """Count the products that bound management asked for once more.

        Args:
            repeats: (tiles, width * images) how often that of each vector was repeated; location by location.
            width: Vectors of an image, one after the other, on every tile. All tiles work on the same image.
        """
        bit_lines, word_lines, devices = lines_of_tiles(self._layer)
        of_images = repeats.unflatten(1, (width, -1)).sum(dim=1).cpu()
        of_tiles = of_images.sum(dim=1)
        self.events.add(
            "forward",
            mvms=int(of_tiles.sum()),
            dac_conversions=int((of_tiles * word_lines).sum()),
            adc_conversions=int((of_tiles * bit_lines).sum()),
            cell_reads=int((of_tiles * devices).sum()),
            serial_mvms=int(of_images.amax(dim=0).sum()),
            input_bytes=int((of_tiles * word_lines).sum()),
        )

    def _enter(self, counted: Tally) -> None:
        events = self.events
        if counted.sets:  # a write like that of a trained network, of which no pulses are known
            _, _, devices = lines_of_tiles(self._layer)
            events.add("programming", written_cells=counted.sets * int(devices.sum()))
        if counted.writes:
            self._enter_writes(counted)
        refreshed = counted.refreshed
        events.add(
            "update",
            update_pulses=counted.pulses
            - events.total("programming_pulses")
            - refreshed.resets
            - refreshed.pulses,
            line_pulses=counted.line_pulses - refreshed.line_pulses,
            serial_slots=counted.slots - refreshed.slots,
        )
        events.add(
            "refresh",
            refreshes=refreshed.pairs,
            mvms=refreshed.rows_read,
            dac_conversions=refreshed.rows_read,
            adc_conversions=refreshed.values_read,
            cell_reads=refreshed.values_read,
            readback_rows=refreshed.rows_read,
            serial_rows=refreshed.serial_rows,
            programming_pulses=refreshed.resets,
            serial_resets=refreshed.serial_resets,
            update_pulses=refreshed.pulses,
            line_pulses=refreshed.line_pulses,
            serial_slots=refreshed.slots,
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
                serial_rows=-(-rows // self.array.all_tiles),
            )

    def _enter_writes(self, counted: Tally) -> None:
        """Enter the writes of updates: all that were counted, except for those that made copies equal."""
        events, written = self.events, counted.written
        cells = self.array.cells
        exchanges = counted.writes if cells is not None and cells.learns_in_digital else 0
        sums = 0
        if exchanges and cells is not None and self.array.kernel_of_tile is not None:
            exists = self.array.tile_population()
            sums = exchanges * sums_over_copies(cells, self.array.kernel_of_tile, exists)
        others, refresh = events.counts["synchronisation"], events.counts["refresh"]
        write = WriteCounts(
            pulses=written.pulses - written.refresh_pulses - others["programming_pulses"],
            verify_rows=written.verify_rows - written.refresh_rows - others["verify_rows"],
            serial_rows=written.serial_rows - written.refresh_serial_rows - others["serial_rows"],
            refreshed=written.refreshed - refresh["refreshes"],
            refresh_pulses=written.refresh_pulses - refresh["programming_pulses"],
            refresh_rows=written.refresh_rows - refresh["readback_rows"],
            refresh_serial_rows=written.refresh_serial_rows - refresh["serial_rows"],
        )
        events.add(
            "gradient",
            programming_pulses=write.pulses,
            verify_rows=write.verify_rows,
            serial_rows=write.serial_rows,
            allreduce_bytes=2 * sums * _BYTES_PER_GRADIENT,
            allreduce_adds=sums,
        )
        count_refresh(events, write)
