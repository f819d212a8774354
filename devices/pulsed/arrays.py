"""A device array as compiled loops take it."""

from typing import Any

from .device_array import DeviceArray
from .views import NO_COUNT

_TENSORS = (
    *("max_bound", "min_bound", "scale_up", "scale_down", "shape_up", "shape_down", "reference"),
    *("constants", "nodes_up", "nodes_down", "pulse_count"),
)


def as_arrays(devices: DeviceArray) -> tuple[Any, ...]:
    """Return what compiled loops need of a device array on the CPU, in one tuple, which they unpack at their top.

    In this order: law; hidden and visible weights; `max_bound`, `min_bound`, `scale_up`, `scale_down`, `shape_up`,
    `shape_down`, `reference`, (tiles, out, in) each; `constants`, `nodes_up`, `nodes_down`; the write noise; the
    counts of pulses. What devices do not have is an empty array.
    """
    buffers = devices._buffers  # a module's own lookup takes longer than the loops over a small tile
    weight, persistent = buffers["weight"], buffers["persistent_weight"]
    hidden, visible = (weight, None) if persistent is None else (persistent, weight)
    *arrays, counts = devices.views.of((hidden, visible, *[buffers[name] for name in _TENSORS]))
    counts = NO_COUNT if buffers["pulse_count"] is None else counts
    return devices.law_number, *arrays, devices.write_noise_number, counts
