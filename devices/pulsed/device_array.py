"""T tiles of pulsed devices: what each device is like, and where it stands."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import Self, override

from ..aihwkit_adapter import (
    ConstantStepDevice,
    ExpStepDevice,
    LinearStepDevice,
    PiecewiseStepDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    SoftBoundsDevice,
    SoftBoundsPmaxDevice,
    SoftBoundsReferenceDevice,
)
from ..parts import normal_
from ..units import Dimensionless
from .laws import Law, steps
from .views import Views

REQUIRED = ("max_bound", "min_bound", "scale_up", "scale_down")
OPTIONAL = ("shape_up", "shape_down", "reference", "decay_scale", "diffusion_rate", "reset_bias", "drift_nu")


class DeviceArray(nn.Module):
    """T tiles of pulsed devices, drawn once at fabrication, moved by pulses ever after.

    Weights are in units of the network; a pulse moves one by about `scale_up` or `scale_down`. Where devices have
    write noise, pulses act on a hidden, persistent weight, and what is read is that weight plus noise, drawn anew
    whenever the device is written.

    Args:
        device: aihwkit's description of the device; copied.
        hidden: What fabrication has drawn for every device, by name, (tiles, out, in) each: `max_bound`,
            `min_bound`, `scale_up`, `scale_down`; and where the device has it `shape_up` and `shape_down` (slopes of
            linear steps, exponents of power steps), `reference` (added before a law is applied, subtracted
            afterwards), `decay_scale`, `diffusion_rate`, `reset_bias`, `drift_nu`.
        granularity: Size of a step near zero, by which learning rates are turned into numbers of pulses.

    Attributes:
        weight: (tiles, out, in) what is read.
        persistent_weight: (tiles, out, in) what pulses act on, or None where that is `weight`.
        granularity: Size of a step near zero, 0-dim.
        pulse_count: (tiles, out, in) pulses that every device has received since `count_pulses`, or None.
        line_pulses: Pulses on word and bit lines of all tiles since then, 0-dim, or None. Stochastic trains only: in
            deterministic ones pulses are rounded in every device.
        slots: Slots since then, 0-dim, or None: the vectors of a tile come one after the other, all tiles at once, so
            that every batch lasts as long as that of the busiest tile.
        stuck: (tiles, out, in) which devices no pulse can move, or None where all work; see `break_`.
        drift_time: Time that drift has counted so far, in units of `drift.t_0`, 0-dim; where devices drift.
        drift_start_time: (tiles, out, in) when the drift of a device began; likewise.
        drift_start_weight: (tiles, out, in) the weight it began from; NaN before the first drift.
        drifted_weight: (tiles, out, in) the weight that drift left behind; NaN before the first drift.
        law: Step law.
        law_number: It as a number, for compiled loops; see `arrays.as_arrays`.
        write_noise_number: `write_noise`, likewise.
        views: The memory of these devices as numpy's arrays, likewise.
        constants: Numbers that all devices share, in the order of `laws.CONSTANTS`.
        known_constants: The same, as the host knows them.
    """

    weight: Tensor
    persistent_weight: Tensor | None
    max_bound: Tensor
    min_bound: Tensor
    scale_up: Tensor
    scale_down: Tensor
    shape_up: Tensor | None
    shape_down: Tensor | None
    reference: Tensor | None
    decay_scale: Tensor | None
    diffusion_rate: Tensor | None
    reset_bias: Tensor | None
    drift_nu: Tensor | None
    granularity: Tensor
    pulse_count: Tensor | None
    line_pulses: Tensor | None
    slots: Tensor | None
    stuck: Tensor | None
    drift_time: Tensor
    drift_start_time: Tensor
    drift_start_weight: Tensor
    drifted_weight: Tensor
    constants: Tensor
    nodes_up: Tensor
    nodes_down: Tensor
    _known_granularity: tuple[Tensor, int, Dimensionless] | None = None

    def __init__(self, device: Any, hidden: dict[str, Tensor | None], granularity: Dimensionless) -> None:
        super().__init__()
        self.device = deepcopy(device)
        self.law = law_of(device)
        self.views = Views()
        self.law_number, self.write_noise_number = int(self.law), np.float32(self.write_noise)
        for name in REQUIRED:
            values = hidden[name]
            assert values is not None
            self.register_buffer(name, values.contiguous())
        for name in OPTIONAL:
            values = hidden.get(name)
            self.register_buffer(name, None if values is None else values.contiguous())
        self.register_buffer("granularity", torch.tensor(granularity, dtype=torch.float32))
        self.register_buffer("weight", torch.zeros_like(self.max_bound))
        self.register_buffer("persistent_weight", torch.zeros_like(self.weight) if self.write_noise else None)
        for name in ("pulse_count", "line_pulses", "slots", "stuck"):
            self.register_buffer(name, None)
        if self.drift_nu is not None:
            self.register_buffer("drift_time", torch.zeros(()))
            self.register_buffer("drift_start_time", torch.zeros_like(self.weight))
            self.register_buffer("drift_start_weight", torch.full_like(self.weight, torch.nan))
            self.register_buffer("drifted_weight", torch.full_like(self.weight, torch.nan))
        # What follows from the description alone is not saved.
        self.register_buffer("constants", _constants(device), persistent=False)
        self.known_constants: list[Dimensionless] = self.constants.tolist()
        up, down = getattr(device, "piecewise_up", [1.0]), getattr(device, "piecewise_down", [1.0])
        self.register_buffer("nodes_up", torch.tensor(up or [1.0], dtype=torch.float32), persistent=False)
        self.register_buffer("nodes_down", torch.tensor(down or [1.0], dtype=torch.float32), persistent=False)
        if getattr(device, "count_pulses", False):
            self.count_pulses()

    @property
    def shape(self) -> torch.Size:
        """Tiles, outputs and inputs."""
        return self.weight.shape

    @property
    def write_noise(self) -> Dimensionless:
        """Standard deviation of the noise between the hidden weight and the one that is read."""
        std: Dimensionless = getattr(self.device, "write_noise_std", 0.0) * self.device.dw_min
        return max(std, 0.0)

    @property
    def step_size(self) -> Dimensionless:
        """`granularity` as a number of the host, which asks a GPU for it once, not at every update."""
        values, known = self._buffers["granularity"], self._known_granularity
        assert values is not None
        version = 0 if values.is_inference() else values._version
        if known is None or known[0] is not values or known[1] != version:
            known = self._known_granularity = (values, version, float(values))
        return known[2]

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or convert the devices, as `to` does; the host still knows the size of a step."""
        known = self.step_size
        super()._apply(fn, recurse)
        values = self._buffers["granularity"]
        assert values is not None
        self._known_granularity = values, 0 if values.is_inference() else values._version, known
        return self

    @property
    def hidden_weight(self) -> Float[Tensor, "tiles out in"]:
        """What pulses act on."""
        return self.weight if self.persistent_weight is None else self.persistent_weight

    def count_pulses(self) -> None:
        """Start to count the pulses that each device receives, its wear, and those on the lines of the tiles."""
        torch_device = self.weight.device
        self.pulse_count = torch.zeros(self.shape, dtype=torch.int32, device=torch_device)
        self.line_pulses = torch.zeros((), dtype=torch.int64, device=torch_device)
        self.slots = torch.zeros((), dtype=torch.int64, device=torch_device)

    def stop_counting(self) -> None:
        """Forget all counts."""
        self.pulse_count = self.line_pulses = self.slots = None

    @torch.no_grad()
    def set_weights(self, weight: Float[Tensor, "tiles out in"], *, rng: torch.Generator) -> None:
        """Put every device where its bounds allow, without pulses.

        Args:
            weight: Where the devices should stand.
            rng: Draws the write noise, if the device has it also when it is set.
        """
        self.hidden_weight.copy_(weight)
        self.clip()
        if self.persistent_weight is not None:
            self.weight.copy_(self.persistent_weight)
            if self.device.apply_write_noise_on_set:
                self.redraw_write_noise(rng=rng)

    @torch.no_grad()
    def redraw_write_noise(self, *, rng: torch.Generator) -> None:
        """Draw the write noise of every device anew."""
        if self.persistent_weight is not None:
            noise = normal_(torch.empty_like(self.weight, device=rng.device), rng).to(self.weight)
            torch.add(self.persistent_weight, noise, alpha=self.write_noise, out=self.weight)
            self.hold_stuck()

    def hold_stuck(self) -> None:
        """Take the write noise from devices that are stuck: nothing is written to them."""
        stuck, persistent = self._buffers["stuck"], self._buffers["persistent_weight"]
        if persistent is not None and stuck is not None:
            with torch.no_grad():
                self.weight.copy_(torch.where(stuck, persistent, self.weight))

    @torch.no_grad()
    def clip(self) -> None:
        """Keep the hidden weights within the bounds, as every change does that is no pulse."""
        torch.maximum(self.hidden_weight, self.min_bound, out=self.hidden_weight)
        torch.minimum(self.hidden_weight, self.max_bound, out=self.hidden_weight)

    def steps(
        self, w: Float[Tensor, "tiles out in"], is_up: bool
    ) -> tuple[Float[Tensor, "tiles out in"], Float[Tensor, "tiles out in"]]:
        """Return how far one pulse would move the devices if they stood at `w`, as sizes: mean steps f and noises g.

        Args:
            w: Where they stand; the reference, which pulses act on as well, is part of it.
            is_up: Direction of the pulse.
        """
        scale, shape, nodes = (
            (self.scale_up, self.shape_up, self.nodes_up)
            if is_up
            else (self.scale_down, self.shape_down, self.nodes_down)
        )
        return steps(
            self.law, w, is_up, scale, shape, self.max_bound, self.min_bound, self.known_constants, nodes
        )

    def pulses(self) -> Int[Tensor, "tiles out in"]:
        """Return the pulses that each device has received.

        Raises:
            RuntimeError: If they were not counted.
        """
        if self.pulse_count is None:
            raise RuntimeError("pulses must be counted before they are asked for: call `count_pulses` first")
        return self.pulse_count

    def extra_repr(self) -> str:
        """Return kind and sizes."""
        return f"{type(self.device).__name__}, tiles={self.shape[0]}, out={self.shape[1]}, in={self.shape[2]}"


def law_of(device: Any) -> Law:
    """Return the step law of aihwkit's description of a device.

    Raises:
        TypeError: If it is no pulsed device that we know.
    """
    if isinstance(device, ConstantStepDevice):
        return Law.CONSTANT_STEP
    if isinstance(device, (LinearStepDevice, SoftBoundsDevice, SoftBoundsPmaxDevice)):
        return Law.LINEAR_STEP if device.mult_noise else Law.LINEAR_STEP_ADDITIVE
    if isinstance(device, SoftBoundsReferenceDevice):
        return Law.SOFT_BOUNDS_REFERENCE if device.mult_noise else Law.SOFT_BOUNDS_REFERENCE_ADDITIVE
    if isinstance(device, ExpStepDevice):
        return Law.EXP_STEP
    if isinstance(device, (PowStepDevice, PowStepReferenceDevice)):
        return Law.POW_STEP
    if isinstance(device, PiecewiseStepDevice):
        return Law.PIECEWISE_STEP
    raise TypeError(
        "`device` must be one of aihwkit's ConstantStep, LinearStep, SoftBounds, SoftBoundsReference, ExpStep, "
        f"PowStep, PowStepReference and PiecewiseStep devices, but is {type(device).__name__}."
    )


def _constants(device: Any) -> Tensor:
    """Return the shared numbers in the order of `laws.CONSTANTS`."""
    values = [device.dw_min_std]
    if isinstance(device, ExpStepDevice):
        values += [device.A_up, device.A_down, device.gamma_up, device.gamma_down, device.a, device.b]
        has_noise = device.dw_min_std > 0
        values += [has_noise * device.dw_min_std_add, has_noise * device.dw_min_std_slope]
    return torch.tensor(values + [0.0] * (9 - len(values)), dtype=torch.float32)
