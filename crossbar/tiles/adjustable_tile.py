"""Tiles whose settings can be chosen anew after they were made: backend, gradient, wires, configuration."""

from copy import deepcopy
from typing import Any

from devices import generator

from ..reading.gradient import Gradient, check_gradient
from ..reading.periphery import NoisePrecision, Periphery, check_noise_precision
from ..wires.parameters import WireParameters
from ..wires.tiles import TileWires
from .compensation import compensation_of
from .configuration import Backend, check_backend, check_replacement, check_wires
from .lasting import lasting
from .programmable_tile import ProgrammableTile


class AdjustableTile(ProgrammableTile):
    """Tiles whose settings can be chosen anew.

    Attributes:
        periphery: What is frozen in DAC and ADC.
    """

    out_size: int
    kernels: int
    periphery: Periphery

    def use_gradient(self, rule: Gradient) -> None:
        """Send back the gradient of aihwkit's own tiles ("aihwkit"), or the exact one ("exact").

        Both are in one table, in `crossbar.reading.gradient`. Any optimizer sees the rule that is chosen here.

        Raises:
            ValueError: If the rule is another one.
        """
        check_gradient(rule)
        self.gradient: Gradient = rule

    def use_noise_precision(self, precision: NoisePrecision) -> None:
        """Compute in float32 or in bfloat16 what only noise and voltage drops follow from; see `use_noise_precision`.

        Raises:
            ValueError: If the precision is another one.
        """
        check_noise_precision(precision)
        self.periphery.noise_precision = precision

    @lasting
    def use_backend(self, backend: Backend) -> None:
        """Compute with this emulator ("batched") or with T real aihwkit tiles ("aihwkit").

        Both have the same frozen periphery. The reference is slow, on the CPU, in float32; its noise cannot be
        seeded, and its gradient follows aihwkit's C++ rules. Devices that are trained in place are copied from one
        to the other (see `copy_devices`), except that configurations which only aihwkit's tiles can run stay there.

        Raises:
            ValueError: If the name is another one, or the tiles have resistive wires, which aihwkit's have not.
        """
        check_backend(backend, self.wires)
        sizes = self.tiles, self.out_size, self.in_size
        computes, are_new = self.memory.use_backend(backend, self.rpu_config, self.periphery, sizes)
        self.backend: Backend = computes
        if are_new:
            self.show_devices()

    @lasting
    def use_wires(self, wires: WireParameters | None, *, every: int = 20) -> None:
        """Give every array of every tile word and bit lines with resistance, or ideal ones (None).

        A chip that is programmed from now on is read through them, exactly: its devices as they are, programmed,
        drifted, faulty. Training, and evaluation without a chip, see the trained weights through them. They take the
        place of aihwkit's approximation, `forward.ir_drop`, which is off then.

        Args:
            wires: The wires.
            every: Training passes between two computations of what they take; see `TileWires`.

        Raises:
            ValueError: If devices are trained in place, the backend is aihwkit's, or `every` is below 1.
        """
        check_wires(wires, self.rpu_config, self.backend)
        layouts = self.tiles if self.memory.copies_differ else self.kernels
        sizes = (layouts, self.out_size, self.in_size)
        self.wires = None if wires is None else TileWires(wires, every, sizes).to(self.weight.device)
        self.erase()

    @lasting
    def replace_rpu_config(self, rpu_config: Any) -> None:
        """Change the settings of DAC, array, ADC, modifier, noise model; mapping and trained devices have to stay.

        Raises:
            ValueError: If the mapping differs, which would change the parameters, or devices that are trained in
                place would become others.
        """
        rpu_config = deepcopy(rpu_config)
        check_replacement(rpu_config, self.rpu_config)
        self.settle()
        self.rpu_config = rpu_config
        precision = self.periphery.noise_precision
        self.periphery = Periphery(
            self.rpu_config.forward,
            self.tiles,
            self.out_size,
            self.in_size,
            rng=generator(self.noise.seed, "fabrication"),
        ).to(self.weight.device)
        self.use_noise_precision(precision)
        self.compensation = compensation_of(self.rpu_config.drift_compensation)
        self.use_backend(self.backend)
        self.erase()
        self.keep_settled()
