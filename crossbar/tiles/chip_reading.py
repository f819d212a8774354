"""One chip as evaluation sees it: what the devices hold, the last reading of them, and its compensation."""

import torch
from torch import Tensor, nn

from devices import generator
from devices.units import Seconds

from ..reading.noise import NoiseStream
from ..reading.parts import in_parts, parts_of
from ..reading.reader import Reader
from .compensation import Compensation, compared, identity_inputs, mean_outputs, readout
from .memory import Devices

_ALL = slice(None)


class ChipReading(nn.Module):
    """What the devices of one chip hold, and what was last read of them.

    A module, so that it is copied and moved with the tiles; a chip is in no state dictionary, but in `state`.

    Right after programming every word line is read in turn, and again at every later time; the ratio compensates
    drift.

    Args:
        devices: The devices after programming, or after training where nothing is programmed.
        weight: What was read of them, of the type, and on the torch device, that further readings are to be.

    Attributes:
        weight: (tiles, out, in) what the last reading saw, in units of the largest conductance.
        baseline: The readout right after programming; None without compensation.
        factor: (tiles, 1, 1) or (tiles, 1, out) what outputs are multiplied with; None before the first ageing.
        time: When the devices were last read, since the end of programming; 0 right after it. None in a chip from a
            file that does not say.
    """

    weight: Tensor
    baseline: Tensor | None
    factor: Tensor | None

    def __init__(self, devices: Devices, weight: Tensor) -> None:
        super().__init__()
        self.devices = devices
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("baseline", None, persistent=False)
        self.register_buffer("factor", None, persistent=False)
        self.time: Seconds | None = 0.0

    def take_baseline(self, kind: Compensation, reader: Reader, *, target: Tensor | None, seed: int) -> int:
        """Read what later readouts will be compared with, if drift is compensated.

        Args:
            kind: How it is compensated.
            reader: Reads.
            target: (tiles, out, in) what the devices are meant to hold, where the reference is exact; None where it
                is read.
            seed: Names the noise of the read.

        Returns:
            How many word lines were read.
        """
        if kind == "none":
            return 0
        if target is not None:
            self.baseline = readout(target.transpose(1, 2), kind)
            return 0
        self.baseline = self._read_out(kind, reader, seed, "baseline")
        return self._word_lines

    def at(self, time: Seconds, kind: Compensation, reader: Reader, *, seed: int) -> int:
        """Let the devices age until a time, read them, and compensate.

        Args:
            time: Since the end of programming.
            kind: How drift is compensated.
            reader: Reads.
            seed: Names the noise of the read.

        Returns:
            How many word lines were read.
        """
        self.devices.valid_times.check(time)
        like = self.weight.new_empty(0)
        self.weight = like  # the last reading makes room for this one
        try:
            self.weight = self.devices.read_weights(time, rng=generator(seed, "read")).to(like)
        except BaseException:
            self.weight, self.factor, self.time = self.devices.programmed_weights.to(like), None, 0.0
            raise
        self.time = float(time)
        if self.baseline is None:
            return 0
        self.factor = self.baseline / self._read_out(kind, reader, seed, "compensation")
        return self._word_lines

    def outputs(self, reader: Reader, seed: int, purpose: str) -> Tensor:
        """Read every word line in turn, (tiles, in, out), with noise of its own stream.

        Args:
            reader: Reads.
            seed: Names the noise.
            purpose: Likewise.
        """
        return self._outputs_of(_ALL, reader, NoiseStream(seed, purpose))

    def _outputs_of(self, part: slice, reader: Reader, noise: NoiseStream) -> Tensor:
        weight = self.weight[part]
        inputs = identity_inputs(len(weight), weight.shape[2], weight)
        return reader.with_noise(noise).multiply(weight, inputs)

    def _read_out(self, kind: Compensation, reader: Reader, seed: int, purpose: str) -> Tensor:
        """Read every word line in turn, of some tiles after the others, and return what is compared."""
        tiles, outputs, inputs = self.weight.shape
        numbers = 4 * outputs * inputs + 2 * inputs**2
        parts = parts_of(tiles, numbers, self.weight, can_be=reader.reads_tiles_alone)
        noise = NoiseStream(seed, purpose)
        if len(parts) == 1:
            return readout(self._outputs_of(_ALL, reader, noise), kind)

        def means(part: slice) -> tuple[Tensor]:
            return (mean_outputs(self._outputs_of(part, reader.of_tiles(part), noise), kind),)

        (of_all,) = in_parts(means, parts)
        assert of_all is not None
        return compared(of_all, kind)

    @property
    def _word_lines(self) -> int:
        return len(self.weight) * self.weight.shape[2]

    def state(self) -> dict[str, Tensor]:
        """Return everything as plain tensors."""
        time = None if self.time is None else torch.tensor(self.time, dtype=torch.float64)
        parts = {"read_weight": self.weight, "baseline": self.baseline, "factor": self.factor, "time": time}
        reading = {f"reading.{name}": tensor for name, tensor in parts.items() if tensor is not None}
        return {**self.devices.state(), **reading}

    @classmethod
    def from_state(cls, devices: Devices, state: dict[str, Tensor], like: Tensor) -> "ChipReading":
        """Bring back a chip.

        Args:
            devices: Its devices.
            state: What `state` returned.
            like: Of the type, and on the torch device, that readings are to be.
        """
        reading = cls(devices, state["reading.read_weight"].to(like))
        baseline, factor = state.get("reading.baseline"), state.get("reading.factor")
        reading.baseline = None if baseline is None else baseline.to(reading.weight)
        reading.factor = None if factor is None else factor.to(reading.weight)
        reading.time = float(state["reading.time"]) if "reading.time" in state else None
        return reading
