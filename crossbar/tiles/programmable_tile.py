"""Tiles whose weights are written into the devices of a chip, which then ages."""

import warnings
from functools import partial

import torch
from torch import Tensor

from devices import Faults, derive_seed
from devices.programming import Circuit
from devices.units import Seconds

from ..aihwkit.adapter import BaseNoiseModel, GlobalDriftCompensationWithExactReference
from ..cost.events import LayerEvents
from ..reading.reader import Reader
from ..wires.tiles import TileWires, seen_through
from .aihwkit_citizen import AihwkitTile
from .chip_reading import ChipReading
from .compensation import Compensation, check_compensation
from .lasting import lasting
from .memory import Devices


class ProgrammableTile(AihwkitTile):
    """Tiles whose weights are written into the devices of a chip: the life of that chip.

    Attributes:
        compensation: How drift is compensated.
        reading: The chip as evaluation sees it, or None.
        events: Where `record_events` counts, or None.
        wires: Wires with resistance, or None.
    """

    compensation: Compensation
    events: LayerEvents | None
    wires: TileWires | None

    @property
    def is_programmed(self) -> bool:  # type: ignore[override]
        """Whether evaluation reads programmed devices (True) or the trained weights (False)."""
        return self.reading is not None

    @property
    def programmed(self) -> Devices | None:
        """What the devices of the programmed chip hold, or None if there is none."""
        return None if self.reading is None else self.reading.devices

    @property
    def alpha(self) -> Tensor:
        """The factors of drift compensation under aihwkit's name: a number, or (out,) by column; by tile if several.

        (1,) with a one in it before the first ageing, and without compensation.
        """
        factor = None if self.reading is None else self.reading.factor
        if factor is None:
            return self.weight.new_ones(1)
        return factor[0, 0].squeeze().clone() if len(factor) == 1 else factor[:, 0].clone()

    @lasting
    def program(
        self,
        noise_model: BaseNoiseModel | None = None,
        *,
        seed: int | None = None,
        compensation: Compensation | None = None,
        faults: Faults | None = None,
    ) -> None:
        """Write the trained weights into the devices of one chip, with programming noise.

        Every tile is written for itself, also where several are meant to hold the same kernel. The drift
        exponents are drawn here, once: they belong to the devices of this chip.

        Devices that were trained in place are not written: they start to age from where training left them, without
        programming noise, by the law of `noise_model`, or else by that of their own `DriftParameter`, whose `t_0`
        counts in seconds then.

        Args:
            noise_model: Device model; that of the configuration if None.
            seed: Names the chip; drawn from the noise stream if None.
            compensation: How drift will be compensated; that of the configuration if None.
            faults: How many of the chip's devices fail; see `devices.program`.

        Raises:
            ValueError: If devices that were trained in place have no law of drift, or are to fail only now.
        """
        self.refuse_part()
        seed = self._draw_seed() if seed is None else seed
        if compensation is not None:
            check_compensation(compensation)
            self.compensation = compensation
        self.settle()
        self.memory.forget_settled()
        try:
            devices, written_cells = self.memory.write(
                self.weight, noise_model, self.rpu_config, seed=seed, faults=faults, circuit=self._circuit()
            )
        except BaseException:
            self.keep_settled()
            raise
        chip = ChipReading(devices, devices.programmed_weights.to(self.weight))
        settings = getattr(self.rpu_config, "drift_compensation", None)
        is_exact = isinstance(settings, GlobalDriftCompensationWithExactReference)
        target = self.memory.target(self.weight) if is_exact else None
        rows = chip.take_baseline(self.compensation, self.reader(), target=target, seed=seed)
        self._count_programming(written_cells=written_cells, readback_rows=rows)
        self.reading = chip
        self.keep_settled()

    @lasting
    def at(self, time: Seconds, *, seed: int | None = None) -> None:
        """Let the programmed devices drift until a time, and read them there.

        Args:
            time: Seconds since the end of programming.
            seed: Names the read noise of this reading; drawn from the noise stream if None. The drift itself is
                a trajectory: the same chip at the same time has the same conductances.

        Raises:
            RuntimeError: If nothing has been programmed.
        """
        if self.reading is None:
            raise RuntimeError("the tiles hold no programmed devices: call `program` before `at`")
        seed = self._draw_seed() if seed is None else seed
        rows = self.reading.at(time, self.compensation, self.reader(), seed=seed)
        self._count_programming(readback_rows=rows)

    @lasting
    def bring_back(
        self,
        state: dict[str, Tensor],
        compensation: Compensation,
        noise_model: BaseNoiseModel | None = None,
    ) -> None:
        """Bring back the chip whose `reading.state()` was kept.

        Args:
            state: What was kept.
            compensation: How its drift is compensated.
            noise_model: Its device model; that of the configuration if None.

        Raises:
            ValueError: If a tensor is missing, or the configuration has no device model.
        """
        devices = self.memory.written(state, noise_model, self.rpu_config, self._circuit())
        self.compensation = compensation
        self.reading = ChipReading.from_state(devices, state, self.weight)
        self.keep_settled()

    def _circuit(self) -> Circuit | None:
        return None if self.wires is None else partial(seen_through, self.wires.resistances)

    def _count_programming(self, **counts: int) -> None:
        if self.events is not None and any(counts.values()):
            self.events.add("programming", **counts)

    def erase(self) -> None:
        """Forget the programmed devices: evaluation uses the trained weights again."""
        self.reading = None

    def keep_settled(self) -> None:
        """Remember the weights as they are, so that every later change of them is noticed."""
        self.memory.keep_settled(self.weight, self.rpu_config, self.programmed)

    def forget_changed(self) -> None:
        """Forget the programmed devices because training has changed the weights, and say so."""
        if self.reading is not None:
            warnings.warn(
                "the weights of a programmed chip were changed, so that the chip is forgotten and evaluation uses "
                "the trained weights. Program it anew, or train a copy of the model",
                stacklevel=2,
            )
        self.erase()

    def _draw_seed(self) -> int:
        drawn = torch.randint(2**62, (), generator=self.noise.generator("cpu"))
        return derive_seed(int(drawn), "chip")

    def reader(self) -> Reader:
        """Return what reads these tiles."""
        raise NotImplementedError
