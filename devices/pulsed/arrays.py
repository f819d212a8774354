"""A device array as compiled loops take it."""

from typing import Any

import numpy as np

from .device_array import DeviceArray
from .views import NO_COUNT

_PER_DEVICE = ("max_bound", "min_bound", "scale_up", "scale_down", "shape_up", "shape_down", "reference")
_SHARED = ("constants", "nodes_up", "nodes_down")


def as_arrays(devices: DeviceArray) -> tuple[Any, ...]:
    """Return what compiled loops need of a device array on the CPU, in one tuple, which they unpack at their top.

    In this order: law; hidden and visible weights; `max_bound`, `min_bound`, `scale_up`, `scale_down`, `shape_up`,
    `shape_down`, `reference`, (tiles, out, in) each; `constants`, `nodes_up`, `nodes_down`; the write noise; the
    counts of pulses. What devices do not have is an empty array.
    """
    buffers = devices._buffers  # a module's own lookup takes longer than the loops over a small tile
    weight, persistent = buffers["weight"], buffers["persistent_weight"]
    hidden, visible = (weight, None) if persistent is None else (persistent, weight)
    *arrays, counts = devices.views.of(
        (
            hidden,
            visible,
            *[buffers[name] for name in _PER_DEVICE],
            *[buffers[name] for name in _SHARED],
            buffers["pulse_count"],
        )
    )
    counts = NO_COUNT if counts.size == 0 else counts
    return int(devices.law), *arrays, np.float32(devices.write_noise), counts
