"""What a ledger of events costs on a piece of hardware, by layer, phase and component, with its totals."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, final

from devices.units import Dimensionless, MicroJoules, Seconds, SquareMicrometres

from .events import PHASES
from .packing import Packing, PackingMode
from .static_power import StaticPower
from .tables import Sheet, rows_of_layers, with_prefix

COMPONENTS: Final = (
    "dac",
    "adc",
    "cells",
    "operation",
    "update",
    "programming",
    "verify",
    "movement",
    "digital",
    "static",
)
"""dac, adc, cells: products, and rows read to learn what devices hold. operation: products of whole arrays, where a
profile does not split what they take. update: pulses of training. programming: pulses of write-verify loops. verify:
rows that those loops read. movement: bytes in buffers and on the network. digital: additions and multiplications.
static: what arrays draw whether they work or not."""

ANALOG: Final = tuple(name for name in COMPONENTS if name not in ("movement", "digital"))
"""The components of the tiles themselves."""

_MOST_NOTES: Final = 3  # that a printed bill shows

OffBlock = Literal["gated", "serialised", "disturbed"]
"""What a parallel update does to cells of a packed array that belong to no kernel. gated: nothing, a switch in each
cell keeps pulses off. serialised: nothing, because the kernels of an array are updated one after the other, which
takes as many times longer. disturbed: they receive pulses, which cost energy."""


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class LayerBill:
    """What one layer costs.

    Attributes:
        energy: µJ, by phase and component.
        seconds: s, by phase.
        packing: How it lies in arrays; None for a digital layer.
        area: µm², of its arrays with their periphery.
        operations: Products of single arrays: a kernel that is cut into three takes three for each product.
        pulses: Pulses of the device that received most, with those of programming by a noise model.
        disturbing_pulses: Pulses that cells received which belong to no kernel.
    """

    energy: dict[str, dict[str, MicroJoules]]
    seconds: dict[str, Seconds]
    packing: Packing | None
    area: SquareMicrometres
    operations: int
    pulses: Dimensionless
    disturbing_pulses: Dimensionless

    @property
    def total_energy(self) -> MicroJoules:
        """Energy of all phases and components, µJ."""
        return sum(energy for parts in self.energy.values() for energy in parts.values())

    @property
    def arrays(self) -> int:
        """Physical arrays of the layer; 0 for a digital one."""
        return 0 if self.packing is None else self.packing.arrays

    def __repr__(self) -> str:
        time = with_prefix(sum(self.seconds.values()), "s")
        return f"LayerBill({with_prefix(1e-6 * self.total_energy, 'J')}, {time}, {self.arrays} arrays)"


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class Bill:
    """What a ledger costs: all of it, not per image or step. Printed, it is a table of the layers.

    Attributes:
        profile: Name of the hardware profile.
        packing: How kernels were to be packed: one way for all layers, or by name pattern.
        off_block: What updates do to cells that belong to no kernel.
        static: When arrays draw static power.
        layers: By name.
        images: Images that were evaluated or trained on.
        steps: Training steps in the ledger.
        endurance: Pulses that a device survives.
        pipelined_static: µJ, the static part if all layers work at once, each on an image of its own.
        static_is_assumed: Whether no publication says what arrays draw while they do nothing.
        notes: What the bill leaves out, or prices otherwise than it was emulated, in sentences.
    """

    profile: str
    packing: PackingMode | Mapping[str, PackingMode]
    off_block: OffBlock
    static: StaticPower
    layers: dict[str, LayerBill]
    images: int
    steps: int
    endurance: Dimensionless
    pipelined_static: MicroJoules
    static_is_assumed: bool = False
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return (
            f"Bill({self.profile}, {len(self.layers)} layers, {with_prefix(1e-6 * self.with_digital, 'J')}, "
            f"{with_prefix(self.sequential, 's')}, {self.arrays} arrays)"
        )

    def __str__(self) -> str:
        return str(self._sheet())

    def _repr_html_(self) -> str:
        return self._sheet().to_html()

    def _sheet(self) -> Sheet:
        def cells(layers: list[LayerBill]) -> list[str]:
            return [
                with_prefix(1e-6 * sum(layer.total_energy for layer in layers), "J"),
                with_prefix(sum(sum(layer.seconds.values()) for layer in layers), "s"),
                f"{sum(layer.arrays for layer in layers):,}",
                f"{1e-6 * sum(layer.area for layer in layers):.3g} mm²",
                f"{max((layer.pulses for layer in layers), default=0.0):,.0f}",
            ]

        heads = "energy", "time", "arrays", "area", "pulses of the busiest device"
        parts = [
            f"{name} {with_prefix(1e-6 * energy, 'J')}"
            for name, energy in self.energy_by_component().items()
            if energy
        ]
        if self.static_is_assumed and self.energy("static"):
            parts[-1] += " (its power is assumed)"
        below = [f"energy: {', '.join(parts) or 'none'}"]
        if self.images:
            energy = (self.energy() - self.energy(phase="programming")) / self.images
            time = (self.sequential - self.seconds("programming")) / self.images
            each = f"{with_prefix(1e-6 * energy, 'J')}, {with_prefix(time, 's')}"
            below.append(f"for each of {self.images:,} images, without programming: {each}")
        below.append("not in it: `crossbar.cost.left_out.LEFT_OUT`, docs/explanation/cost.md")
        below += self.notes[:_MOST_NOTES]
        if len(self.notes) > _MOST_NOTES:
            below.append(f"and {len(self.notes) - _MOST_NOTES} more `notes`")
        rows = rows_of_layers(heads, self.layers, cells)
        return Sheet(above=[f"priced by {self.profile}"], rows=rows, below=below)

    def energy(self, component: str | None = None, phase: str | None = None) -> MicroJoules:
        """Return the energy of one component or all, in one phase or all, µJ."""
        return sum(
            energy
            for layer in self.layers.values()
            for one_phase, parts in layer.energy.items()
            for name, energy in parts.items()
            if component in (None, name) and phase in (None, one_phase)
        )

    def energy_by_component(self) -> dict[str, MicroJoules]:
        """Return the energy of every component, µJ."""
        return {component: self.energy(component) for component in COMPONENTS}

    def seconds(self, phase: str) -> Seconds:
        """Return how long a phase takes, one layer after the other, s."""
        return sum(layer.seconds[phase] for layer in self.layers.values())

    @property
    def with_digital(self) -> MicroJoules:
        """Energy of everything, µJ."""
        return self.energy()

    @property
    def analog_only(self) -> MicroJoules:
        """Energy of the tiles alone, without movement and digital work, µJ."""
        return sum(self.energy(component) for component in ANALOG)

    @property
    def without_static(self) -> MicroJoules:
        """Energy of the work alone, µJ: what no scope of static power can change."""
        return self.energy() - self.energy("static")

    @property
    def sequential(self) -> Seconds:
        """Time if one layer works after the other, s."""
        return sum(self.seconds(phase) for phase in PHASES)

    @property
    def pipelined(self) -> Seconds:
        """Time of the slowest layer, s: what counts if all layers work at once, each on an image of its own."""
        return max((sum(layer.seconds.values()) for layer in self.layers.values()), default=0.0)

    @property
    def pipelined_energy(self) -> MicroJoules:
        """Energy of everything if all layers work at once, µJ: only the static part differs."""
        return self.without_static + self.pipelined_static

    @property
    def operations(self) -> int:
        """Products of single arrays."""
        return sum(layer.operations for layer in self.layers.values())

    @property
    def arrays(self) -> int:
        """Physical arrays."""
        return sum(layer.packing.arrays for layer in self.layers.values() if layer.packing is not None)

    @property
    def area(self) -> SquareMicrometres:
        """Area of all arrays with their periphery, µm²."""
        return sum(layer.area for layer in self.layers.values())

    @property
    def utilisation(self) -> Dimensionless:
        """Cells that hold a weight, of all cells."""
        packings = [layer.packing for layer in self.layers.values() if layer.packing is not None]
        arrays = sum(packing.arrays for packing in packings)
        return sum(packing.utilisation * packing.arrays for packing in packings) / arrays if arrays else 0.0

    @property
    def pulses(self) -> Dimensionless:
        """Pulses of the most stressed device of the network."""
        return max((layer.pulses for layer in self.layers.values()), default=0.0)

    @property
    def pulses_per_step(self) -> Dimensionless | None:
        """Pulses of the most stressed device per training step; None without steps."""
        return self.pulses / self.steps if self.steps else None

    @property
    def steps_to_end_of_life(self) -> Dimensionless | None:
        """Training steps until that device is worn out; None without steps or without wear."""
        per_step = self.pulses_per_step
        return self.endurance / per_step if per_step else None

    def to_json(self) -> dict[str, Any]:
        """Return everything, and the totals, in the types of JSON."""
        totals = {
            "energy_by_component": self.energy_by_component(),
            "seconds": {phase: self.seconds(phase) for phase in PHASES},
        }
        names = [
            "analog_only",
            "with_digital",
            "without_static",
            "sequential",
            "pipelined",
            "pipelined_energy",
        ]
        names += ["operations", "arrays", "area", "utilisation"]
        names += ["pulses", "pulses_per_step", "steps_to_end_of_life"]
        plain = {
            **asdict(self),
            "packing": self.packing if isinstance(self.packing, str) else dict(self.packing),
        }
        return {**plain, "notes": list(self.notes), **totals, **{name: getattr(self, name) for name in names}}
