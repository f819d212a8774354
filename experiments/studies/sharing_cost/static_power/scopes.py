"""Which scheme takes the least energy, by the scope of static power.

Work alone (converters, cells, pulses, movement) is counted. What waiting arrays draw depends on how long they are on:
while their layer works, while the network works, or always, between images, too. So the energy of an image is

    E = work + power x time on,    time on = own layer's | the network's | 1 / frame rate

and a ranking of schemes is told for each of them, with those conclusions that hold in all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final, final

from crossbar import EventLedger, HardwareProfile
from devices.units import Dimensionless, MicroJoules

from ....drawing.sections import Section, Table
from ....runs.run_folder import RunFolder
from ....support.statistics import number
from ..config import SharingCostPlan
from ..prices import bill_of, ledgers_of
from ..rows import MECHANISM_NAMES, Row
from ..sensitivity import TIE

PerSecond = Annotated[float, "1/s"]
MicroWatts = Annotated[float, "µW"]

RATES: Final[tuple[PerSecond, ...]] = (1.0, 1000.0)
"""Images a second of the columns, beside the highest rate that every scheme can take."""


@final
@dataclass(frozen=True, kw_only=True)
class Demand:
    """What one image, or a training step for each of its images, takes under a scheme; mean over seeds.

    Attributes:
        work: µJ, without static power.
        in_layer: µJ, static, if a layer's arrays are on while that layer works.
        in_network: µJ, static, if all arrays are on while the network works on the image.
        power: µW that all arrays draw while they are on.
        fastest: Images a second, with all layers at work at once.
        far: µJ more, if arrays lie anywhere on a mesh instead of beside what they need.
    """

    work: MicroJoules
    in_layer: MicroJoules
    in_network: MicroJoules
    power: MicroWatts
    fastest: PerSecond
    far: MicroJoules = 0.0

    def at(self, rate: PerSecond, factor: Dimensionless = 1.0) -> MicroJoules | None:
        """Return the energy of an image if arrays are always on, with static power scaled; None if it is too slow."""
        return None if rate > self.fastest * (1 + 1e-9) else self.work + factor * self.power / rate


Group = tuple[str, str, str]
"""Device, mechanism, and "inference" or "training": whose images are meant."""


def demands_of(
    rows: Sequence[Row],
    folders: Mapping[str, RunFolder],
    schemes: Sequence[str],
    profiles: Mapping[str, HardwareProfile],
    config: SharingCostPlan,
) -> dict[Group, dict[str, Demand]]:
    """Return what each scheme demands, for each device, mechanism and kind of image; arguments as of `find_flips`."""
    found: dict[Group, dict[str, list[Demand]]] = {}
    for row in rows:
        if row.scheme not in schemes or not row.did_learn:
            continue
        training, _, inference = ledgers_of(folders[row.run])
        for kind, ledger in (("inference", inference), ("training", training)):
            if ledger is not None:
                group = found.setdefault((row.device, row.mechanism, kind), {})
                group.setdefault(row.scheme, []).append(_demand(ledger, profiles[row.device], config))
    return {
        group: {scheme: _mean(demands) for scheme, demands in of_schemes.items()}
        for group, of_schemes in found.items()
    }


def _demand(ledger: EventLedger, profile: HardwareProfile, config: SharingCostPlan) -> Demand:
    plain = replace(config, static_scope="network", frame_rate=None, duty_cycle=None, network="local")
    network = bill_of(ledger, profile, plain)
    layer = bill_of(ledger, profile, replace(plain, static_scope="layer"))
    mesh = bill_of(ledger, profile, replace(plain, network="mesh"))
    images = ledger.images + ledger.training_images
    return Demand(
        work=network.without_static / images,
        in_layer=layer.energy("static") / images,
        in_network=network.energy("static") / images,
        power=network.energy("static") / network.sequential if network.sequential else 0.0,
        fastest=images / network.pipelined if network.pipelined else float("inf"),
        far=(mesh.without_static - network.without_static) / images,
    )


def _mean(demands: Sequence[Demand]) -> Demand:
    names = ("work", "in_layer", "in_network", "power", "fastest", "far")
    return Demand(**{name: sum(getattr(one, name) for one in demands) / len(demands) for name in names})


def cheapest(energies: Mapping[str, float | None]) -> list[str]:
    """Return the scheme that takes least, and those that differ from it by less than `TIE`."""
    known = {name: energy for name, energy in energies.items() if energy is not None}
    least = min(known.values(), default=0.0)
    return sorted(name for name, energy in known.items() if energy <= least * (1 + TIE))


def cases_of(demands: Mapping[str, Demand]) -> dict[str, Callable[[Demand], float | None]]:
    """Return, by name, the energy of an image for every scope and some frame rates."""
    shared = min(demand.fastest for demand in demands.values())
    rates = [rate for rate in RATES if rate < shared]
    cases: dict[str, Callable[[Demand], float | None]] = {
        "work alone": lambda one: one.work,
        "layer": lambda one: one.work + one.in_layer,
        "network": lambda one: one.work + one.in_network,
    }
    if any(demand.far for demand in demands.values()):
        cases["layer, data from afar"] = lambda one: one.work + one.in_layer + one.far
    for rate in [*rates, shared]:
        name = f"always on, {number(rate)} /s"
        cases[name] = lambda one, rate=rate: one.at(rate)  # type: ignore[misc]
    return cases


def scope_sections(demands: Mapping[Group, Mapping[str, Demand]]) -> list[Section]:
    """Return the tables of energies by scope, with what holds in all of them."""
    if not demands:
        return []
    text = (
        "Energy of an image in µJ, or of a training step for each of its images. Static power: of a layer's arrays "
        "while that layer works (layer); of all arrays while the network works on an image, and none between images "
        "(network); of all arrays all the time (always on), at frame rates up to the highest that every scheme can "
        "take. Data from afar: arrays lie anywhere on a square mesh, not beside what they need. *: the least, or "
        f"within {TIE:.0%} of it. Idle power is assumed in all profiles.",
    )
    sections = [Section(title="When arrays draw static power", text=text)]
    for (device, mechanism, kind), of_schemes in demands.items():
        cases = cases_of(of_schemes)
        energies = {
            name: {scheme: energy(one) for scheme, one in of_schemes.items()}
            for name, energy in cases.items()
        }
        rows = [[f"`{scheme}`", *(_cell(energies[name], scheme) for name in cases)] for scheme in of_schemes]
        sections.append(
            Section(
                title=f"{device}, {MECHANISM_NAMES[mechanism]}, {kind}",
                table=Table(header=["scheme", *cases], rows=rows),
                items=[_conclusion(energies)] if len(of_schemes) > 1 else [],
            )
        )
    return sections


def _cell(energies: Mapping[str, float | None], scheme: str) -> str:
    value = energies[scheme]
    if value is None:
        return "too slow"
    return f"{number(value)} *" if scheme in cheapest(energies) else number(value)


def _conclusion(energies: Mapping[str, Mapping[str, float | None]]) -> str:
    """Say which scheme is cheapest in every scope, or that none is."""
    real = {name: cheapest(values) for name, values in energies.items() if name != "work alone"}
    everywhere = set.intersection(*(set(names) for names in real.values()))
    alone = sorted(name for name in everywhere if all(names == [name] for names in real.values()))
    if alone:
        return f"`{alone[0]}` takes the least energy in every scope."
    if everywhere:
        names = ", ".join(f"`{name}`" for name in sorted(everywhere))
        return f"Nothing is cheaper in any scope than {names}, which others equal in some."
    parts = (f"{name}: {', '.join(f'`{one}`' for one in names)}" for name, names in real.items())
    return f"No scheme is the cheapest in every scope; the scope decides. {'; '.join(parts)}."
