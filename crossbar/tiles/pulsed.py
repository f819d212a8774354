"""Training on the chip itself: the devices of a tile array, the pulses they receive, the way back through them."""

import warnings
from copy import deepcopy
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from typing_extensions import final, override

from devices import Faults, derive_seed, generator
from devices.host_numbers import HostNumbers, value_of, zero_count
from devices.programming import Circuit
from devices.pulsed import Engine, WriteVerify
from devices.units import Dimensionless

from ..aihwkit.adapter import BaseNoiseModel, BoundManagementType, IOParameters, NoiseManagementType
from ..learning import UnitCells, make_cells, why_not_batched
from ..learning.synchronisation import SyncCounts, synchronise
from ..placement.grouping import Grouping
from ..reading.mvm import analog_mvm
from ..reading.noise import NoiseStream
from ..reading.periphery import Periphery
from ..reading.reader import Reader
from ..reference.backend import ReferenceCells, copy_devices
from ..wires.tiles import TileWires
from .configuration import Backend
from .memory import Devices, Memory, Pass
from .own_drift import OwnDrift, trained_devices, weights_of
from .pulsed_product import InSituProduct


@final
class PulsedDevices(HostNumbers, Memory):
    """Pulsed devices of T tiles that are trained where they are.

    Each tile learns by itself. Where several tiles hold copies of one kernel, an update is broadcast: every copy
    receives the pulses of all vectors of its kernel, the same trains, to which its own devices respond in their own
    way. The copies are never made equal again.

    Or, with `sync_every`, updates are local: a copy receives only the vectors of its own locations. The mean over C
    copies is to move as one shared tile would, by -learning_rate * (sum over all vectors of d x^T), so each copy
    moves C times as far for the vectors that it has, however many those are. For that x and d are both multiplied by
    sqrt(C), and trains may be C times as long (`desired_bl`): the probability of a pulse on a line stays what it
    would be on the shared tile. After `sync_every` updates the copies are read, averaged and written to the mean; see
    `synchronise`. Schedules of compounds count the vectors that a copy sees, which are fewer.

    Args:
        rpu_config: aihwkit training configuration.
        tiles: Number of physical tiles T.
        out_size: Bit lines of each tile.
        in_size: Word lines of each tile.
        kernel_of_tile: (tiles,) kernel that each tile holds a copy of; tile t holds kernel t if None.
        populated: (kernels, out, in) or (tiles, out, in) which devices exist; all if None. An absent device has
            weight zero and does not respond.
        backend: "batched" or "aihwkit"; the latter also where the configuration can run on nothing else, after a
            warning.
        seed: Seed of the fabrication.
        sync_every: Updates between two synchronisations of copies; 0 to broadcast every update.

    Attributes:
        population: (tiles, out, in) which devices exist; all if None.
        cells: The devices and the rule by which they learn.
        sync_every: Likewise; 0 also where no kernel has copies.
        updates_since_sync: Updates since the last synchronisation, or None where updates are broadcast.
        write_verify: How copies are written to their mean.
        periphery: What is frozen in DAC and ADC of the backward direction. Where noise management averages over
            vectors, it has an average of its own (aihwkit's is shared by both directions).
        engine: How pulses are computed: "auto", "exact" or "aggregated".
        sets: How often the devices have been put to new weights.
    """

    name: ClassVar[str] = "in_situ"
    learns_in_place: ClassVar[bool] = True
    host_numbers: ClassVar = ("updates_since_sync",)
    population: Tensor | None
    copies: Tensor | None
    copy_exists: Tensor | None
    copies_of_tile: Tensor | None
    updates_since_sync: Tensor | None

    def __init__(
        self,
        rpu_config: Any,
        tiles: int,
        out_size: int,
        in_size: int,
        kernel_of_tile: Tensor | None,
        populated: Bool[Tensor, "holders out in"] | None,
        backend: Backend,
        seed: int,
        sync_every: int = 0,
    ) -> None:
        super().__init__(kernel_of_tile, populated)
        copies: Grouping | None = None
        copies_of_tile: Tensor | None = None
        self.sync_every = 0
        if kernel_of_tile is not None:
            number = torch.bincount(kernel_of_tile)
            if sync_every and int(number.max()) > 1:
                self.sync_every, copies_of_tile = sync_every, number[kernel_of_tile]
                rpu_config = deepcopy(rpu_config)
                rpu_config.update.desired_bl *= int(number.max())
            else:
                copies = Grouping.of(kernel_of_tile, len(number))
        self.rpu_config = rpu_config
        self.sizes = tiles, out_size, in_size
        self.seed = derive_seed(seed, "devices")
        self.engine: Engine = "auto"
        self.sets = 0
        self.write_verify = WriteVerify()
        self.register_buffer(
            "copies", None if copies is None else copies.order.clamp(min=0), persistent=False
        )
        self.register_buffer("copy_exists", None if copies is None else copies.valid, persistent=False)
        self.register_buffer("copies_of_tile", copies_of_tile, persistent=False)
        self.register_buffer("updates_since_sync", zero_count() if self.sync_every else None)
        self.backward_io = backward_settings(rpu_config)
        self.periphery = Periphery(
            self.backward_io, tiles, in_size, out_size, rng=generator(seed, "fabrication", "backward")
        )
        reason = why_not_batched(rpu_config)
        if self.sync_every and (reason is not None or backend == "aihwkit"):
            raise _no_synchronisation(self.sync_every, reason)
        if reason is not None and backend == "batched":
            warnings.warn(f"aihwkit's own tiles, which are slow, train this layer: {reason}", stacklevel=2)
        self.cells: UnitCells = self._fabricate("batched" if reason is None else "aihwkit")

    @property
    def reference(self) -> ReferenceCells | None:
        """The real aihwkit tiles, if they compute; None for this emulator's own."""
        return self.cells if isinstance(self.cells, ReferenceCells) else None

    @override
    def use_backend(
        self, backend: Backend, rpu_config: Any, periphery: Periphery, sizes: tuple[int, int, int]
    ) -> tuple[Backend, bool]:
        """Train this emulator's devices, or real aihwkit tiles with the same devices; see `copy_devices`."""
        if self.sync_every and backend == "aihwkit":
            raise _no_synchronisation(self.sync_every)
        backend = "aihwkit" if why_not_batched(self.rpu_config) is not None else backend
        are_new = (backend == "aihwkit") != (self.reference is not None)
        if are_new:
            before, self.cells = self.cells, self._fabricate(backend)
            # Also sets what copying does not reach, such as the effective weights of cells of several devices.
            self.cells.set_weights(before.weights(), noise=NoiseStream(self.seed, "change of backend"))
            copy_devices(before, self.cells)
        self.share_periphery(periphery)
        return backend, are_new

    @override
    def share_periphery(self, periphery: Periphery) -> None:
        """Give real aihwkit tiles what is frozen in the peripheries of both directions."""
        if self.reference is not None:
            self.reference.share_periphery(periphery, self.periphery)

    @override
    def shown(self, weight: Tensor) -> Tensor:
        return self.weights()

    @override
    def put(self, weight: Tensor, mapped: Float[Tensor, "kernels out in"], *, noise: NoiseStream) -> None:
        weight = self.of_tiles(mapped)
        self.set_weights(weight if self.population is None else weight * self.population, noise=noise)

    @override
    def trained(self, weight: Tensor) -> Float[Tensor, "kernels out in"]:
        return self.of_kernels(weight.detach())

    @override
    def target(self, weight: Tensor) -> Float[Tensor, "tiles out in"]:
        return weight.detach()

    @override
    def is_settled(self, weight: Tensor, rpu_config: Any, *, has_chip: bool) -> bool:
        """Say yes: no optimizer moves devices past the array."""
        return True

    @override
    def settle(self, weight: Tensor, scales: Float[Tensor, "kernels out"], rpu_config: Any) -> None:
        """Do nothing."""

    @override
    def keep_settled(self, weight: Tensor, rpu_config: Any, chip: Devices | None) -> None:
        """Remember nothing."""

    @override
    def for_reading(
        self,
        weight: Tensor,
        rpu_config: Any,
        wires: TileWires | None,
        noise: NoiseStream,
        *,
        is_training: bool,
    ) -> Float[Tensor, "tiles out in"]:
        return weight

    @override
    def multiply(
        self, read: Float[Tensor, "tiles out in"], of: Pass, reader: Reader, *, is_chip: bool
    ) -> Float[Tensor, "tiles batch out"]:
        """Multiply, and remember inputs and gradients for the update; see `InSituProduct`."""
        reference = None if is_chip else self.reference

        def send_back(d: Tensor) -> Tensor:
            return (
                self.backward_mvm(d, read, reader.noise) if reference is None else reference.backward_mvm(d)
            )

        scale = self.of_tiles(of.mapping_scales)
        how = reader, reference, send_back, of.gradient, of.locations
        y: Tensor = InSituProduct.apply(of.voltages, of.context, of.x, read, scale, of.limit, *how)
        return y if of.learned_scales is None else y * self.of_tiles(of.learned_scales)[:, None, :]

    def weights(self) -> Float[Tensor, "tiles out in"]:
        """Return what an MVM reads: the visible weights."""
        return weights_of(self.cells, self.population)

    def set_weights(self, weight: Float[Tensor, "tiles out in"], *, noise: NoiseStream) -> None:
        """Put the devices where their bounds allow, without pulses; hidden states start anew, as in aihwkit."""
        self.cells.set_weights(weight, noise=noise)
        self.sets += 1
        if self.updates_since_sync is not None:
            self.updates_since_sync.zero_()

    @override
    def update(
        self,
        x: Float[Tensor, "vectors tiles in"],
        d: Float[Tensor, "vectors tiles out"],
        learning_rate: Dimensionless,
        *,
        noise: NoiseStream,
    ) -> None:
        """Send the pulses of one mini-batch, vector after vector.

        Args:
            x: Inputs, in the units of the DAC.
            d: Gradients of the outputs, in units in which a plain update is -learning_rate * d * x.
            learning_rate: The step's.
            noise: Draws trains and cycle-to-cycle noise.
        """
        self.cells.update(
            self._of_trains(x),
            self._of_trains(d),
            learning_rate,
            noise=noise,
            engine=self.engine,
            tile_of_train=None if self.copies is None else self.kernel_of_tile,
        )
        if self.updates_since_sync is not None:
            self.updates_since_sync.add_(1)

    @override
    def end_batch(self, *, noise: NoiseStream) -> tuple[bool, SyncCounts | None]:
        """Let devices decay and diffuse once, as after every mini-batch; then make copies equal if it is time."""
        self.cells.end_batch(noise=noise)
        if self.updates_since_sync is None or value_of(self.updates_since_sync) < self.sync_every:
            return True, None
        assert self.kernel_of_tile is not None
        self.updates_since_sync.zero_()
        counts = synchronise(
            self.cells, self.kernel_of_tile, self.write_verify, exists=self.population, noise=noise
        )
        return True, counts

    @override
    def write(
        self,
        weight: Tensor,
        noise_model: BaseNoiseModel | None,
        rpu_config: Any,
        *,
        seed: int,
        faults: Faults | None,
        circuit: Circuit | None,
    ) -> tuple[Devices, int]:
        if faults is not None:
            raise ValueError(
                f"`faults` must be None for devices that were trained in place, but are {str(faults)!r}: theirs were "
                "drawn when they were made. Use `break_devices` before the training."
            )
        return trained_devices(self.cells, self.population, noise_model, seed=seed), 0

    @override
    def written(
        self,
        state: dict[str, Tensor],
        noise_model: BaseNoiseModel | None,
        rpu_config: Any,
        circuit: Circuit | None,
    ) -> Devices:
        if "target_weights" not in state:
            return OwnDrift(self.cells, self.population, int(state["seed"]))
        return super().written(state, noise_model, rpu_config, circuit)

    def backward_mvm(
        self, d: Float[Tensor, "tiles batch out"], weight: Float[Tensor, "tiles out in"], noise: NoiseStream
    ) -> Float[Tensor, "tiles batch in"]:
        """Send gradients through the transposed arrays, with DAC and ADC of that direction."""
        io = self.backward_io
        result = analog_mvm(weight.transpose(1, 2), d, io, self.periphery, noise)
        if not io.is_perfect and io.noise_management != NoiseManagementType.NONE and io.inp_noise > 0:
            # Backward, aihwkit does not read for a vector of zeros even if its DAC is noisy.
            result = result * (d.abs().amax(dim=2, keepdim=True) > 0)
        return result

    @override
    def per_tile(self, values: Float[Tensor, "vectors tiles n"]) -> Float[Tensor, "tiles received n"]:
        """Return what every tile receives in an update: all vectors of its kernel, or its own where it is local."""
        values = self._of_trains(values)
        return values if self.copies is None else values[self.kernel_of_tile]

    def _of_trains(self, values: Tensor) -> Tensor:
        """(vectors, tiles, n) -> (kernels, vectors * copies, n), vector by vector and copy by copy; or by tile."""
        if self.copies is None:
            values = values.transpose(0, 1)
            if self.copies_of_tile is not None:
                values = values * self.copies_of_tile.to(values).sqrt()[:, None, None]
            return values.contiguous()
        gathered = values[:, self.copies]  # (vectors, kernels, copies, n)
        if self.copy_exists is not None:
            gathered = gathered * self.copy_exists[..., None]
        return gathered.transpose(0, 1).flatten(1, 2)

    def _fabricate(self, backend: Backend) -> UnitCells:
        """Make new devices; those that do not exist get no response to pulses."""
        if backend == "aihwkit":
            return ReferenceCells(self.rpu_config, *self.sizes, seed=self.seed)
        cells: UnitCells = make_cells(self.rpu_config, *self.sizes, seed=self.seed)
        if self.population is not None:
            for array in cells.device_arrays().values():
                array.scale_up.mul_(self.population)
                array.scale_down.mul_(self.population)
        return cells


def backward_settings(rpu_config: Any) -> IOParameters:
    """Return the settings of the backward direction; aihwkit's C++ has no bound management there."""
    io: IOParameters = deepcopy(rpu_config.backward)
    io.bound_management = BoundManagementType.NONE
    return io


def _no_synchronisation(sync_every: int, reason: str | None = None) -> ValueError:
    """Return the refusal of local updates on real aihwkit tiles, which no write-verify loop can reach."""
    wish = (
        "`backend` is 'aihwkit'"
        if reason is None
        else f"only aihwkit's own tiles can train this layer: {reason}"
    )
    return ValueError(
        f"`sync_every` must be 0 on aihwkit's own tiles, but is {sync_every}, and {wish.rstrip('.')}. Use the "
        "batched backend, or broadcast updates."
    )
