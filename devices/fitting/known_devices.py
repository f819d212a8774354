"""Measurements of simulated devices whose parameters are known, to see whether fits find them again."""

from dataclasses import dataclass

import numpy as np
import torch
from typing_extensions import final

from ..measurements import PulseTrace
from ..pulsed import DeviceArray, send_pulses
from ..streams import derive_seed, generator
from ..units import Dimensionless, MicroSiemens, Mixed
from .polygon_laws import drawn_on
from .screening import unscaled
from .step_law import Code, StepLaw, Values


@final
@dataclass(frozen=True, kw_only=True)
class Scheme:
    """How devices are measured.

    Attributes:
        pulses: Pulses up, and then down, of a cycle.
        cycles: How often.
        read_noise: Standard deviation of a reading, in weights.
        slow_noise: That of the slow fluctuation.
        slow_pulses: After how many pulses its memory has fallen to 1/e.
        g_min: Conductance of the weight -1.
        g_max: That of 1.
    """

    pulses: int = 150
    cycles: int = 2
    read_noise: Dimensionless = 0.0
    slow_noise: Dimensionless = 0.0
    slow_pulses: Mixed = 20.0
    g_min: MicroSiemens = 5.0
    g_max: MicroSiemens = 25.0


@torch.no_grad()
def measure(array: DeviceArray, scheme: Scheme, *, seed: int) -> list[PulseTrace]:
    """Pulse all devices of an array up and down from their lowest weights, and read them.

    Args:
        array: The devices; changed in place.
        scheme: The pulses, and the noise of the readings.
        seed: Names the noises.
    """
    rng = generator(seed, "known devices", "pulses")
    noise = np.random.default_rng(derive_seed(seed, "known devices", "readings"))
    array.set_weights(array.min_bound.clone(), rng=rng)
    pulses = np.array(([1] * scheme.pulses + [-1] * scheme.pulses) * scheme.cycles)
    size = array.weight.numel()
    kept, slow = np.exp(-1 / scheme.slow_pulses), scheme.slow_noise * noise.normal(size=size)
    shown = [array.weight.flatten().numpy() + slow + scheme.read_noise * noise.normal(size=size)]
    for pulse in pulses.tolist():
        send_pulses(array, torch.full(array.shape, pulse), rng=rng)
        slow = kept * slow + scheme.slow_noise * np.sqrt(1 - kept**2) * noise.normal(size=size)
        shown.append(array.weight.flatten().numpy() + slow + scheme.read_noise * noise.normal(size=size))
    curves = unscaled(np.array(shown, dtype=np.float64).T, scheme.g_min, scheme.g_max)
    return [
        PulseTrace(str(number), pulses.astype(np.float64), curve[:-1], curve[1:])
        for number, curve in enumerate(curves)
    ]


def known_coordinates(law: StepLaw, array: DeviceArray, middle: Dimensionless, half: Dimensionless) -> Values:
    """Return the coordinates that a law should find for each device of an array: (coordinates, devices).

    Those of the law; of the noises only that of the steps.

    Args:
        law: The law, that of the array.
        array: The devices.
        middle: The weight of the array that a fit calls zero.
        half: The weights of the array from there to what a fit calls one.
    """
    up, down, highest, lowest = (
        getattr(array, name).flatten().double().numpy()
        for name in ("scale_up", "scale_down", "max_bound", "min_bound")
    )
    bounds = [(highest - middle) / half, (lowest - middle) / half]
    noise = [np.full(len(up), np.log(max(float(array.constants[0]), 1e-9)))]
    if law.nodes:
        places = middle + half * np.linspace(-1.0, 1.0, law.nodes)
        ends = (lowest[:, None], highest[:, None])
        nodes = [
            (drawn_on(shape.double().numpy(), places, ends) * (sizes / half)[:, None]).T
            for shape, sizes in ((array.nodes_up, up), (array.nodes_down, down))
        ]
        if law.code == Code.TABLE:
            return np.vstack([*nodes, *(np.log(np.maximum(own, 1e-9)) + noise[0] for own in nodes), *bounds])
        return np.vstack([*nodes, *bounds, *noise])
    if law.code == Code.CONSTANT:
        return np.vstack([np.log(up / half), np.log(down / half), *bounds, *noise])
    if law.code == Code.EXP:
        _, a_up, a_down, gamma_up, gamma_down, a, b = array.constants.double().tolist()[:7]
        stretch = 2 * a / (highest - lowest)
        lost_up = up * a_up * np.exp(gamma_up * (stretch * middle + b))
        lost_down = down * a_down * np.exp(-gamma_down * (stretch * middle + b))
        bends = [gamma_up * stretch * half, gamma_down * stretch * half]
        sizes = [up - lost_up, down - lost_down]
        slopes = [bends[0] * lost_up / sizes[0], bends[1] * lost_down / sizes[1]]
        return np.vstack([*(np.log(size / half) for size in sizes), *slopes, *bends, *bounds, *noise])
    assert array.shape_up is not None
    assert array.shape_down is not None
    shape_up, shape_down = (shape.flatten().double().numpy() for shape in (array.shape_up, array.shape_down))
    if law.code == Code.POW:
        inverse = [half / (highest - middle), half / (middle - lowest)]
        width = highest - lowest
        sizes = [
            up * ((highest - middle) / width) ** shape_up,
            down * ((middle - lowest) / width) ** shape_down,
        ]
        slopes = [shape_up * inverse[0], shape_down * inverse[1]]
        return np.vstack([*(np.log(size / half) for size in sizes), *slopes, *inverse, *noise])
    sizes = [up + shape_up * middle, down + shape_down * middle]
    slopes = [-shape_up * half / sizes[0], shape_down * half / sizes[1]]
    own = [np.log(size / half) for size in sizes]
    return np.vstack([*own, *slopes, *(bounds if law.code == Code.LINEAR else []), *noise])
