"""Watching a network, and counting what it makes happen on its tiles."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from devices.pulsed import DeviceArray, WriteCounts

from ..cost.events import EventLedger, LayerEvents, LayerShape
from ..layers.analog_convolution import PlacedLayer
from ..layers.analog_layer import AnalogLayer
from ..layers.locally_connected import LocallyConnected2d
from ..placement.connections import present_inputs
from ..reading.periphery import Periphery
from ..tiles.tile_array import TileArray
from .named_refusals import refuse_foreign_layers

_BYTES_PER_ACCUMULATION = 8  # a number of 4 bytes is read and written
_BYTES_PER_GRADIENT = 4
_ALREADY = "the model is being recorded already: leave the other `record_events` first"


@contextmanager
def record_events(model: nn.Module) -> Iterator[EventLedger]:
    """Count what a model makes happen inside the block.

    Products and pulses in evaluation and in training in place happen on tiles. What hardware-aware or digital
    training computes happens in software: it counts as digital multiplications only. The numbers of a run do not
    change by recording.

    Args:
        model: Analog, digital, or both.

    Devices whose pulses were not counted before forget them at the end: call `count_pulses` of the device arrays
    first if wear is to add up over several blocks.

    Yields:
        The ledger; pulses and wear are entered at the end of the block.

    Raises:
        RuntimeError: If the model is being recorded already.
        ValueError: If the model has analog layers of aihwkit's own, which count nothing.

    Example:
        >>> from crossbar import AnalogLinear
        >>> layer = AnalogLinear(4, 2).eval()
        >>> with record_events(layer) as ledger:
        ...     _ = layer(torch.zeros(3, 4))
        >>> ledger.total("mvms"), ledger.total("adc_conversions")
        (3, 6)
    """
    refuse_foreign_layers(model, "counted by record_events")
    ledger = EventLedger()
    with ExitStack() as stack:
        for name, module in model.named_modules():
            if isinstance(module, AnalogLayer | LocallyConnected2d | nn.Linear | nn.Conv2d):
                watch = _AnalogWatch(module) if isinstance(module, AnalogLayer) else _DigitalWatch(module)
                ledger.layers[name] = watch.events
                stack.callback(watch.stop)
        stack.callback(_watch_images(model, ledger).remove)
        yield ledger


def shape_of(layer: nn.Module) -> LayerShape:
    """Return the sizes of an analog or digital layer.

    Raises:
        TypeError: If it is no layer with weights that we know.
    """
    if isinstance(layer, AnalogLayer):
        blocks, array = layer.blocks, layer.tile_array
        tiles = array.tiles // blocks.per_kernel
        devices = 1 if array.in_situ is None else len(array.in_situ.cells.device_arrays())
        sizes: dict[str, Any] = {
            "kernels": array.kernels // blocks.per_kernel,
            "tiles": tiles,
            "in_size": blocks.in_size,
            "out_size": blocks.out_size,
            "grid": blocks.grid,
            "tile_shape": blocks.tile_shape,
            "devices_per_weight": devices,
        }
        if not isinstance(layer, PlacedLayer):
            return LayerShape(in_channels=blocks.in_size, **sizes)
        return LayerShape(**_on_a_map(layer), **sizes, width=layer.grouping.width)
    if isinstance(layer, LocallyConnected2d):
        kernels, out_size = layer.weight.shape[:2]
        sizes = {
            "kernels": kernels,
            "tiles": kernels,
            "in_size": layer.geometry.patch_size,
            "out_size": out_size,
        }
        width = layer.grouping.width
        return LayerShape(**_on_a_map(layer), **sizes, **_digital(sizes), width=width)
    if isinstance(layer, nn.Linear | nn.Conv2d):
        sizes = {"in_size": layer.weight[0].numel(), "out_size": len(layer.weight)}
        return LayerShape(in_channels=layer.weight.shape[1], placement="digital", **sizes, **_digital(sizes))
    raise TypeError(
        f"`layer` must be an analog or digital layer with weights, but is {type(layer).__name__}."
    )


def _digital(sizes: dict[str, Any]) -> dict[str, Any]:
    shape = sizes["out_size"], sizes["in_size"]
    return {"is_analog": False, "devices_per_weight": 0, "tile_shape": shape}


def _on_a_map(layer: "PlacedLayer | LocallyConnected2d") -> dict[str, Any]:
    g = layer.geometry
    return {
        "locations": g.locations,
        "kernel_size": g.kernel_size,
        "in_channels": g.in_channels,
        "stride": g.stride,
        "map_size": g.output_size,
        "placement": layer.placement.spec,
    }


class _DigitalWatch:
    """Counts the multiplications of a digital layer."""

    def __init__(self, layer: nn.Module) -> None:
        if any(
            isinstance(getattr(hook, "__self__", None), _DigitalWatch)
            for hook in layer._forward_hooks.values()
        ):
            raise RuntimeError(_ALREADY)
        self.events = LayerEvents(shape=shape_of(layer))
        self._handle = layer.register_forward_hook(self._after_forward)

    def stop(self) -> None:
        """Stop counting."""
        self._handle.remove()

    def _after_forward(self, layer: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        shape = self.events.shape
        driven = _present_inputs(layer, shape, y.numel() // shape.out_size)
        _count_software(self.events, driven * shape.out_size, inputs[0], layer.training)


class _AnalogWatch:
    """Counts what an analog layer makes happen on its tiles.

    The forward hook sees every product, a hook on the outputs every gradient that comes back; what happens in
    between (pulses, repeated products, rows read by learning rules) is counted by the parts that do it, and entered
    at the end.
    """

    def __init__(self, layer: AnalogLayer) -> None:
        self.array = array = layer.tile_array
        if array.events is not None:
            raise RuntimeError(_ALREADY)
        self.events = array.events = LayerEvents(shape=shape_of(layer))
        self._layer = layer
        self._handles = [
            layer.register_forward_pre_hook(self._before_forward),
            layer.register_forward_hook(self._after_forward),
        ]
        self._counting = _start_counting(array)
        self._before = _Tally.of(array)

    def stop(self) -> None:
        """Stop counting, and enter what parts of the array have counted meanwhile."""
        for handle in self._handles:
            handle.remove()
        array, events = self.array, self.events
        array.periphery.repeats = array.events = None
        after = _Tally.of(array)
        self._enter(after.less(self._before))
        events.most_pulses = _most_pulses(array)
        for devices in self._counting:
            devices.stop_counting()

    def _before_forward(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        array = self.array
        array.periphery.repeats = torch.zeros(array.tiles, dtype=torch.int64, device=array.weight.device)

    def _after_forward(self, layer: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        shape, x = self.events.shape, inputs[0]
        repeats, self.array.periphery.repeats = self.array.periphery.repeats, None
        vectors = serial = y.numel() // shape.out_size
        if isinstance(layer, PlacedLayer):
            places = y.shape[-2] * y.shape[-1]  # a convolution on one tile takes images of any size
            serial = vectors // places * (layer.grouping.width if places == shape.locations else places)
        if layer.training and self.array.in_situ is None:
            _count_software(self.events, self._present(vectors) * shape.out_size, x, True)
            return
        driven = self._present(vectors)
        self._count_products("forward", vectors, serial, driven, vectors * shape.out_size, shape.grid)
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
        return _present_inputs(self._layer, self.events.shape, vectors)

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
        outputs, inputs = _tile_sizes(self._layer)
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

    def _enter(self, counted: "_Tally") -> None:
        shape, events = self.events.shape, self.events
        written = counted.written
        if counted.writes:
            sums = (shape.tiles - shape.kernels) * shape.cells * counted.writes
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


@dataclass(frozen=True)
class _Tally:
    """What the parts of an array count by themselves, since they were made."""

    pulses: int = 0
    line_pulses: int = 0
    slots: int = 0
    rows_read: int = 0
    values_read: int = 0
    written: WriteCounts = field(default_factory=WriteCounts)
    writes: int = 0

    @classmethod
    def of(cls, array: TileArray) -> "_Tally":
        """Read all counters."""
        in_situ, cells = array.in_situ, array.cells
        if in_situ is None or cells is None or in_situ.reference is not None:
            return cls()
        arrays = list(cells.device_arrays().values())
        writes, written = cells.gradient_writes()
        peripheries = [part for part in cells.modules() if isinstance(part, Periphery)]
        return cls(
            pulses=sum(int(count.sum(dtype=torch.int64)) for count in _pulses(array)),
            line_pulses=sum(
                int(devices.line_pulses) for devices in arrays if devices.line_pulses is not None
            ),
            slots=sum(int(devices.slots) for devices in arrays if devices.slots is not None),
            rows_read=sum(part.rows_read for part in peripheries),
            values_read=sum(part.values_read for part in peripheries),
            written=written,
            writes=writes,
        )

    def less(self, before: "_Tally") -> "_Tally":
        """Return what was counted since."""
        now, then = self.written, before.written
        return _Tally(
            pulses=self.pulses - before.pulses,
            line_pulses=self.line_pulses - before.line_pulses,
            slots=self.slots - before.slots,
            rows_read=self.rows_read - before.rows_read,
            values_read=self.values_read - before.values_read,
            written=WriteCounts(
                pulses=now.pulses - then.pulses,
                verify_rows=now.verify_rows - then.verify_rows,
                serial_rows=now.serial_rows - then.serial_rows,
            ),
            writes=self.writes - before.writes,
        )


def _start_counting(array: TileArray) -> list[DeviceArray]:
    """Let all devices count their pulses; return those which did not before."""
    if array.cells is None or array.in_situ is None or array.in_situ.reference is not None:
        return []
    started = [devices for devices in array.cells.device_arrays().values() if devices.pulse_count is None]
    for devices in started:
        devices.count_pulses()
    return started


def _pulses(array: TileArray) -> list[Tensor]:
    """Return the pulses of all devices in place, (tiles, out, in) for each of a cell."""
    in_situ = array.in_situ
    if in_situ is None or in_situ.reference is not None:
        return []
    counts = [devices.pulses() for devices in in_situ.cells.device_arrays().values()]
    # Lines also pass where no device is.
    return counts if in_situ.population is None else [count * in_situ.population for count in counts]


def _most_pulses(array: TileArray) -> int:
    """Return the pulses of the device that has received most."""
    return max((int(count.max()) for count in _pulses(array)), default=0)


def _tile_sizes(layer: AnalogLayer) -> tuple[Tensor, Tensor]:
    """Return outputs and inputs of every physical tile, (tiles,) each."""
    outs, ins = (torch.tensor(starts).diff() for starts in (layer.blocks.out_starts, layer.blocks.in_starts))
    tiles = layer.tile_array.tiles // layer.blocks.per_kernel
    sizes = ins.expand(tiles, -1)
    if isinstance(layer, PlacedLayer) and layer.connections is not None:
        present = present_inputs(layer.connections.cpu(), layer.geometry)
        sizes = torch.stack([part.sum(dim=1) for part in present.split(ins.tolist(), dim=1)], dim=1)
    return outs.repeat_interleave(len(ins)).repeat(tiles), sizes.repeat(1, len(outs)).flatten()


def _present_inputs(layer: nn.Module, shape: LayerShape, vectors: int) -> int:
    """Return how many inputs that many vectors have; those that are absent have no word line."""
    connections = getattr(layer, "connections", None)
    if connections is None:
        return vectors * shape.in_size
    assert isinstance(layer, LocallyConnected2d | PlacedLayer)
    return vectors // shape.locations * int(present_inputs(connections.cpu(), layer.geometry).sum())


def _count_software(events: LayerEvents, macs: int, x: Tensor, is_training: bool) -> None:
    """Count what a layer computes digitally, forward and, if gradients are wanted, backward."""
    events.add("forward", digital_macs=macs)
    if is_training and torch.is_grad_enabled():
        events.add("gradient", digital_macs=macs)
        if x.requires_grad:
            events.add("backward", digital_macs=macs)


def _watch_images(model: nn.Module, ledger: EventLedger) -> RemovableHandle:
    """Count the images that pass through a model; a pass in training, with gradients, is a step."""

    def before(model: nn.Module, inputs: tuple[Any, ...]) -> None:
        x = inputs[0]
        images = len(x) if x.dim() in (2, 4) else 1
        if model.training and torch.is_grad_enabled():
            ledger.training_images += images
            ledger.steps += 1
        else:
            ledger.images += images

    return model.register_forward_pre_hook(before)
