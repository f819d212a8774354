"""Scale the uncertain constants of a profile, price every run again, and find where schemes change places."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from crossbar import EventLedger, HardwareProfile
from devices.units import Dimensionless

from ...runs.run_folder import RunFolder
from .config import SharingCostPlan
from .prices import bill_of, ledgers_of
from .rows import Row
from .sensitivity import Flip, Line, flips, lines_of

Ranges = dict[str, dict[str, tuple[Dimensionless, Dimensionless]]]
"""By device and name of what is uncertain: smallest and largest factor."""
Lines = dict[tuple[str, str, str], dict[str, dict[str, Line]]]
"""By device, mechanism and work; by name of what is uncertain; by scheme."""


@final
@dataclass(frozen=True)
class Uncertain:
    """Something about a chip that is known badly.

    Attributes:
        name: What figures and tables call it.
        constant: The profile's constant, whose range says how badly.
        components: Parts of the energy that are scaled instead, because loops count what the constant estimates.
    """

    name: str
    constant: str
    components: tuple[str, ...] = ()

    def range_in(self, profile: HardwareProfile) -> tuple[Dimensionless, Dimensionless]:
        """Return the smallest and largest factor that a profile allows."""
        return profile.uncertain().get(self.constant, _WITHOUT_RANGE)


_WITHOUT_RANGE: Final = (0.1, 10.0)  # assumed, for profiles that state none
# What sections 4.8 to 4.16 of the cost notes doubt most. Write-verify loops count their pulses and reads, and both
# would grow with the iterations; the time that loops take, and so static energy, is held.
UNCERTAIN: Final = (
    Uncertain("ADC energy", "adc_energy"),
    Uncertain("write-verify iterations", "iterations", components=("programming", "verify")),
    Uncertain("programming energy", "programming_energy"),
    Uncertain("update pulse energy", "update_pulse_energy"),
    Uncertain("static power", "static_power"),
)


def find_flips(
    rows: Sequence[Row],
    folders: Mapping[str, RunFolder],
    schemes: Sequence[str],
    profiles: Mapping[str, HardwareProfile],
    config: SharingCostPlan,
) -> tuple[Ranges, Lines, list[Flip]]:
    """Find all pairs of schemes that change places, for each device, mechanism and piece of work.

    Args:
        rows: The runs.
        folders: Where they lie, by `Row.run`.
        schemes: Those that are ranked.
        profiles: By device.
        config: How kernels are packed.

    Returns:
        The ranges of factors; the energies against its factor, of a training step, or of an inference where the
        chip does not train; and the flips of both.
    """
    prices: dict[tuple[str, str, str], dict[str, dict[str, list[Callable[[Dimensionless], float]]]]] = {}
    for row in rows:
        if row.scheme not in schemes or not row.did_learn:
            continue
        training, _, inference = ledgers_of(folders[row.run])
        works = {"inference": (inference, inference.images)}
        if training is not None:
            works["training step"] = (training, training.steps)
        for work, (ledger, number) in works.items():
            group = prices.setdefault((row.device, row.mechanism, work), {})
            for uncertain in UNCERTAIN:
                price = _price_against(uncertain, ledger, number, profiles[row.device], config)
                group.setdefault(uncertain.name, {}).setdefault(row.scheme, []).append(price)
    lines = {
        group: {name: lines_of(of_schemes) for name, of_schemes in constants.items()}
        for group, constants in prices.items()
    }
    ranges = {
        device: {uncertain.name: uncertain.range_in(profile) for uncertain in UNCERTAIN}
        for device, profile in profiles.items()
    }
    found = [
        flip
        for (device, mechanism, work), constants in lines.items()
        for uncertain in UNCERTAIN
        for flip in flips(
            constants[uncertain.name],
            device=device,
            mechanism=mechanism,
            work=work,
            constant=uncertain.name,
            low=ranges[device][uncertain.name][0],
            high=ranges[device][uncertain.name][1],
        )
    ]
    trained = {(device, mechanism) for device, mechanism, work in lines if work == "training step"}
    shown = {
        group: constants
        for group, constants in lines.items()
        if group[2] == "training step" or group[:2] not in trained
    }
    return ranges, shown, found


def _price_against(
    uncertain: Uncertain,
    ledger: EventLedger,
    number: int,
    profile: HardwareProfile,
    config: SharingCostPlan,
) -> Callable[[Dimensionless], float]:
    """Return the energy of one image or step against the factor, µJ."""

    def energy(factor: Dimensionless) -> float:
        if uncertain.components:
            parts = bill_of(ledger, profile, config).energy_by_component()
            counted = sum(parts[name] for name in uncertain.components)
            return (sum(parts.values()) + (factor - 1) * counted) / number
        return bill_of(ledger, profile.scaled(uncertain.constant, factor), config).with_digital / number

    return energy
