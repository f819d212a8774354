"""A device array as compiled loops take it."""

from typing import Any

from numba import njit

from .device_array import DeviceArray
from .threaded_loops import borrowed
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


@njit(cache=True)
def lent(devices):  # type: ignore[no-untyped-def]
    """Return the same arrays without their owners, which the caller keeps; see `threaded_loops.borrowed`."""
    (law, weight, visible, max_bound, min_bound, scale_up, scale_down, shape_up, shape_down, reference) = (
        devices[:10]
    )
    constants, nodes_up, nodes_down, write_noise, pulse_count = devices[10:]
    return (
        law,
        borrowed(weight),
        borrowed(visible),
        borrowed(max_bound),
        borrowed(min_bound),
        borrowed(scale_up),
        borrowed(scale_down),
        borrowed(shape_up),
        borrowed(shape_down),
        borrowed(reference),
        borrowed(constants),
        borrowed(nodes_up),
        borrowed(nodes_down),
        write_noise,
        borrowed(pulse_count),
    )
