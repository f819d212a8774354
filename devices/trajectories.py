"""How each of aihwkit's noise models becomes the history of one chip.

aihwkit asks "what does a device look like at time t" and answers with fresh random numbers every time. A chip
has a history: whatever differs between devices is drawn once, at programming, and time moves on without dice.
Only read noise is drawn again at every read.
"""

import copy
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from typing_extensions import final, override

from .aihwkit_adapter import (
    BaseNoiseModel,
    CustomDriftPCMLikeNoiseModel,
    HermesNoiseModel,
    PCMLikeNoiseModel,
    ReRamCMONoiseModel,
    ReRamWan2022NoiseModel,
    StateIndependentNoiseModel,
)
from .streams import derive_seed, generator
from .times import TEN_YEARS, MeasuredTimes, TimeRange, ValidTimes
from .units import Seconds
from .working_memory import Stream


@final
@dataclass(frozen=True)
class WrittenDevices:
    """One device of every unit cell, after the write.

    Attributes:
        g_target: What was asked for, in µS.
        g_programmed: What was written, in µS.
        drawn: What the device keeps for life: a drift exponent, or a standard normal number. None if the
            model has nothing of the kind.
        seed: The chip's seed, followed by the position of the device in its unit cell.
    """

    g_target: Tensor
    g_programmed: Tensor
    drawn: Tensor | None
    seed: tuple[int, int]


Write = Callable[[Tensor], WrittenDevices]
Look = Callable[[WrittenDevices], Tensor]


class AbstractTrajectory(ABC):
    """The history of devices that follow one noise model.

    A write, a drift or a read is begun, and then done for all devices at once, or for parts of them that follow each
    other: the random numbers go on from one part to the next, and are those of all at once.

    Attributes:
        valid_times: When the model can be asked.
        can_be_divided: Whether parts of the devices can be asked one after the other.
    """

    valid_times: ValidTimes = TimeRange()
    can_be_divided: bool = True

    @abstractmethod
    def begin_write(self, seed: tuple[int, int]) -> Write:
        """Return what draws, for targets in µS, the programming noise and what each device keeps for life."""

    @abstractmethod
    def begin_drift(self, seed: tuple[int, int], time: Seconds) -> Look:
        """Return what tells the conductance at a time, in µS. Beginning twice gives the same numbers."""

    @abstractmethod
    def begin_read(self, seed: tuple[int, int], time: Seconds, rng: torch.Generator) -> Look:
        """Return what tells the conductance as one read sees it at a time, in µS. Draws anew from `rng`."""

    def begin_again(self, seed: tuple[int, int]) -> Callable[[Tensor], Tensor] | None:
        """Return what draws, for targets in µS, once more what devices keep for life; None if that has to be kept."""
        return None

    def write(self, g_target: Tensor, seed: tuple[int, int]) -> WrittenDevices:
        """Draw the programming noise and what each device keeps for life."""
        return self.begin_write(seed)(g_target)

    def drift(self, devices: WrittenDevices, time: Seconds) -> Tensor:
        """Return the conductance at a time, in µS. Asking twice gives the same numbers."""
        return self.begin_drift(devices.seed, time)(devices)

    def read(self, devices: WrittenDevices, time: Seconds, rng: torch.Generator) -> Tensor:
        """Return the conductance as one read sees it at a time, in µS. Draws anew from `rng`."""
        return self.begin_read(devices.seed, time, rng)(devices)


def trajectory_of(noise_model: BaseNoiseModel) -> AbstractTrajectory:
    """Choose the history that belongs to a noise model.

    Args:
        noise_model: One of aihwkit's noise models, a subclass of one, or a user's own.

    Raises:
        TypeError: If it is no aihwkit noise model.
        ValueError: If aihwkit lost a constructor argument that its own formula needs.
    """
    if not isinstance(noise_model, BaseNoiseModel):
        raise TypeError(
            f"`noise_model` must be an aihwkit noise model, but is a {type(noise_model).__name__}. "
            "Take one from the catalogue, `get(name).noise_model()`, or subclass aihwkit's `BaseNoiseModel`."
        )
    if isinstance(noise_model, ReRamWan2022NoiseModel):
        _check_has(noise_model, "coeff_g_max_reference")
        return _MeasuredSpread(noise_model)
    if isinstance(noise_model, ReRamCMONoiseModel):
        return _Relaxation(noise_model)
    if isinstance(noise_model, PCMLikeNoiseModel | HermesNoiseModel):
        _check_has(noise_model, "prog_coeff_g_max_reference")
        return _PowerLawDrift(noise_model)
    if isinstance(noise_model, StateIndependentNoiseModel):
        return _PowerLawDrift(noise_model)
    return _FrozenDraws(noise_model)


@final
class _PowerLawDrift(AbstractTrajectory):
    """Conductance that decays as a power of time, with 1/f noise on top.

        g(t) = g_programmed ((t + t_0) / t_0) ** -nu
        g_read(t) = g(t) (1 + Q sqrt(ln((t + t_0 + t_read) / (2 t_read))) xi)

    nu is drawn once for each device. aihwkit's model does the arithmetic, with its read noise switched off
    for the drift; so a subclass or a model with other coefficients is followed as well.
    """

    def __init__(
        self, noise_model: PCMLikeNoiseModel | HermesNoiseModel | StateIndependentNoiseModel
    ) -> None:
        self._noisy = noise_model
        self._quiet = copy.copy(noise_model)
        self._quiet.read_noise_scale = 0.0
        # A subclass may look at all devices together, or draw several times.
        self.can_be_divided = type(noise_model) in _DEVICE_BY_DEVICE

    @override
    def begin_write(self, seed: tuple[int, int]) -> Write:
        return _write_with_model(self._noisy, seed)

    @override
    def begin_again(self, seed: tuple[int, int]) -> Callable[[Tensor], Tensor] | None:
        return _exponents_of_model(self._noisy, seed) if self.can_be_divided else None

    @override
    def begin_drift(self, seed: tuple[int, int], time: Seconds) -> Look:
        return _drift_with_model(self._quiet, time, derive_seed(*seed, "drift"))

    @override
    def begin_read(self, seed: tuple[int, int], time: Seconds, rng: torch.Generator) -> Look:
        return _drift_with_model(self._noisy, time, _draw_seed(rng))


@final
class _MeasuredSpread(AbstractTrajectory):
    """Conductance that was measured at a few times only, as a spread about the target.

        g(t) = max(0, g_target + sigma(t, g_target) z)

    z is one standard normal number for each device and for life: a device that was written too high stays
    high. (Whether single devices keep their rank was not published; frozen ranks make one chip consistent,
    and the spread at each time is the published one.) The write itself is the first measured time. There is
    no separate read noise in the data, so a read sees the drifted conductance.
    """

    def __init__(self, noise_model: ReRamWan2022NoiseModel) -> None:
        self._model = noise_model
        self.valid_times = MeasuredTimes(tuple(sorted(float(time) for time in noise_model.coeff_dic)))

    @override
    def begin_write(self, seed: tuple[int, int]) -> Write:
        rng, first_time = generator(*seed, "programming"), min(self._model.coeff_dic)

        def write(g_target: Tensor) -> WrittenDevices:
            normal = _standard_normal(g_target, rng)
            return WrittenDevices(g_target, self._spread(g_target, normal, first_time), normal, seed)

        return write

    @override
    def begin_drift(self, seed: tuple[int, int], time: Seconds) -> Look:
        def drift(devices: WrittenDevices) -> Tensor:
            assert devices.drawn is not None
            return self._spread(devices.g_target, devices.drawn, time)

        return drift

    @override
    def begin_read(self, seed: tuple[int, int], time: Seconds, rng: torch.Generator) -> Look:
        return self.begin_drift(seed, time)

    def _spread(self, g_target: Tensor, normal: Tensor, time: Seconds) -> Tensor:
        model = self._model
        std = _polynomial(model.coeff_dic[time], g_target / model.g_max)
        std = std * (model.noise_scale * model.g_max / model.coeff_g_max_reference)
        return (g_target + std * normal).clamp(min=0.0)


@final
class _Relaxation(AbstractTrajectory):
    """Conductance that relaxes with the logarithm of time, by an amount of its own for each device.

        g(t) = g_programmed + m ln(t) + (a ln(t) + b) z
        g_read(t) = g(t) + K log10(g(t)) sqrt(ln((t + t_read) / (2 t_read))) xi

    within the window [g_min, g_max]; t in s, z one standard normal number for each device and for life. Time
    0 is the written state; the published law begins at 1 s, where it has already spread by b. The paper
    (Falcone et al., arXiv:2502.04524) uses it up to 10 years. Below 1 µS, where log10(g) turns negative,
    there is no read noise instead of a negative one.
    """

    valid_times = TimeRange(1.0, TEN_YEARS)
    can_be_divided = False  # a read draws for one device of all unit cells after the other, from one stream

    def __init__(self, noise_model: ReRamCMONoiseModel) -> None:
        self._model = noise_model

    @override
    def begin_write(self, seed: tuple[int, int]) -> Write:
        stream, rng = Stream(derive_seed(*seed, "programming")), generator(*seed, "relaxation")

        def write(g_target: Tensor) -> WrittenDevices:
            with _quietly(stream):
                g_programmed = self._model.apply_programming_noise_to_conductance(g_target.clone())
            return WrittenDevices(g_target, g_programmed, _standard_normal(g_target, rng), seed)

        return write

    @override
    def begin_drift(self, seed: tuple[int, int], time: Seconds) -> Look:
        return lambda devices: self._into_window(self._relaxed(devices, time), time)

    @override
    def begin_read(self, seed: tuple[int, int], time: Seconds, rng: torch.Generator) -> Look:
        def read(devices: WrittenDevices) -> Tensor:
            relaxed = self._relaxed(devices, time)
            if time == 0:
                return relaxed
            slope, t_read = self._model.read_dict["K"], self._model.read_dict["t_read"]
            growth = math.sqrt(math.log((time + t_read) / (2 * t_read)))
            std = self._model.read_noise_scale * slope * growth * relaxed.clamp(min=1.0).log10()
            xi = torch.randn(relaxed.shape, generator=rng, device=rng.device, dtype=relaxed.dtype)
            return self._into_window(relaxed + std * xi.to(relaxed.device), time)

        return read

    def _relaxed(self, devices: WrittenDevices, time: Seconds) -> Tensor:
        assert devices.drawn is not None
        if time == 0:
            return devices.g_programmed
        model, log_time = self._model, math.log(time)
        mean = model.decay_dict["mean"][0] * log_time
        std = model.decay_dict["std"][0] * log_time + model.decay_dict["std"][1]
        return devices.g_programmed + model.drift_scale * (mean + std * devices.drawn)

    def _into_window(self, g: Tensor, time: Seconds) -> Tensor:
        # The write is verified against its target, not against the window: time 0 is left as written.
        return g if time == 0 else g.clamp(self._model.g_min, self._model.g_max)


@final
class _FrozenDraws(AbstractTrajectory):
    """A user's own model, of which we know only aihwkit's interface.

    Whatever it draws from torch's generator when it drifts is frozen for the chip, by giving it the chip's
    seed at every call: the same time gives the same numbers, and a law that is smooth in time stays smooth.
    Relaxation and read noise cannot be told apart, so a read sees the drifted conductance.
    """

    can_be_divided = False

    def __init__(self, noise_model: BaseNoiseModel) -> None:
        self._model = noise_model

    @override
    def begin_write(self, seed: tuple[int, int]) -> Write:
        return _write_with_model(self._model, seed)

    @override
    def begin_drift(self, seed: tuple[int, int], time: Seconds) -> Look:
        return _drift_with_model(self._model, time, derive_seed(*seed, "drift"))

    @override
    def begin_read(self, seed: tuple[int, int], time: Seconds, rng: torch.Generator) -> Look:
        return self.begin_drift(seed, time)


# Their laws treat every device by itself, and draw one normal number for each at most.
_DEVICE_BY_DEVICE = (
    PCMLikeNoiseModel,
    CustomDriftPCMLikeNoiseModel,
    HermesNoiseModel,
    StateIndependentNoiseModel,
)


def _write_with_model(model: BaseNoiseModel, seed: tuple[int, int]) -> Write:
    programming, exponents = Stream(derive_seed(*seed, "programming")), _exponents_of_model(model, seed)

    def write(g_target: Tensor) -> WrittenDevices:
        # A copy, because a model may overwrite what it is given, and the exponents follow the target.
        with _quietly(programming):
            g_programmed = model.apply_programming_noise_to_conductance(g_target.clone())
        return WrittenDevices(g_target, g_programmed, exponents(g_target), seed)

    return write


def _exponents_of_model(model: BaseNoiseModel, seed: tuple[int, int]) -> Callable[[Tensor], Any]:
    stream = Stream(derive_seed(*seed, "drift exponents"))

    def draw(g_target: Tensor) -> Any:  # a user's model may draw none, or anything
        with _quietly(stream):
            return model.generate_drift_coefficients(g_target)

    return draw


def _drift_with_model(model: BaseNoiseModel, time: Seconds, stream_seed: int) -> Look:
    stream = Stream(stream_seed)

    def drift(devices: WrittenDevices) -> Tensor:
        with _quietly(stream):
            return model.apply_drift_noise_to_conductance(devices.g_programmed.clone(), devices.drawn, time)

    return drift


@contextmanager
def _quietly(stream: Stream) -> Iterator[None]:
    """Let aihwkit draw from torch's global CPU generator without anybody noticing."""
    with stream(), torch.no_grad(), warnings.catch_warnings():
        # The Hermes model of aihwkit 1.1.0 indexes with a list of masks; the numbers are right.
        warnings.filterwarnings("ignore", "Using a non-tuple sequence for multidimensional indexing")
        yield


def _standard_normal(like: Tensor, rng: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=rng, dtype=like.dtype)


def _draw_seed(rng: torch.Generator) -> int:
    return int(torch.randint(2**63 - 1, (), generator=rng, device=rng.device).item())


def _polynomial(coefficients: list[float], x: Tensor) -> Tensor:
    """Evaluate c_0 + c_1 x + c_2 x**2 + ..."""
    total = torch.zeros_like(x)
    for coefficient in reversed(coefficients):
        total = total * x + coefficient
    return total


def _check_has(noise_model: BaseNoiseModel, attribute: str) -> None:
    if not hasattr(noise_model, attribute):
        raise ValueError(
            f"`noise_model` must have the attribute `{attribute}`, but is a {type(noise_model).__name__} "
            "without it: aihwkit 1.1.0 drops this argument of its constructor. "
            f"Set it afterwards: `noise_model.{attribute} = ...` in µS."
        )
