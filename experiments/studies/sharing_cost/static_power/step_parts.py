"""What a training step takes, in parts: work that learning needs, refreshes, writing, and static power by scope."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import final

from crossbar import EventLedger, HardwareProfile
from devices.units import MicroJoules

from ....drawing.sections import Section, Table
from ....runs.run_folder import RunFolder
from ....support.statistics import number
from ..config import SharingCostPlan
from ..prices import bill_of, ledgers_of
from ..rows import MECHANISM_NAMES, Row


@final
@dataclass(frozen=True)
class StepParts:
    """Energy of a training step, which is the sum of the work and of static power in one of its scopes.

    Attributes:
        in_network: µJ, static, if all arrays are on while the network works on the step.
        in_layer: µJ, static, if a layer's arrays are on while that layer works.
        refresh: µJ, looking for full pairs of one-way devices, resetting and writing them; without static power.
        programming: µJ, pulses of write-verify loops, those of refreshes apart.
        verify: µJ, reads that check these writes.
        rest: µJ, everything else: products, update pulses, movement, digital work.
    """

    in_network: MicroJoules
    in_layer: MicroJoules
    refresh: MicroJoules
    programming: MicroJoules
    verify: MicroJoules
    rest: MicroJoules

    @classmethod
    def of(cls, ledger: EventLedger, profile: HardwareProfile, config: SharingCostPlan) -> "StepParts":
        """Price what training made happen, in two scopes, and share it among its steps."""
        plain = replace(config, static_scope="network", frame_rate=None, duty_cycle=None)
        network = bill_of(ledger, profile, plain)
        layer = bill_of(ledger, profile, replace(plain, static_scope="layer"))
        refresh = network.energy(phase="refresh") - network.energy("static", "refresh")
        written, verified = (
            network.energy(part) - network.energy(part, "refresh") for part in ("programming", "verify")
        )
        parts = {
            "in_network": network.energy("static"),
            "in_layer": layer.energy("static"),
            "refresh": refresh,
            "programming": written,
            "verify": verified,
            "rest": network.without_static - refresh - written - verified,
        }
        return cls(**{name: energy / ledger.steps for name, energy in parts.items()})


def step_parts_section(
    rows: Sequence[Row],
    folders: Mapping[str, RunFolder],
    schemes: Sequence[str],
    profiles: Mapping[str, HardwareProfile],
    config: SharingCostPlan,
) -> list[Section]:
    """Return the table of parts, mean over seeds that learned; nothing where all was trained in software.

    Args:
        rows: Runs of the study.
        folders: Their folders, by name of the run.
        schemes: Those that are shown.
        profiles: What events cost, by device.
        config: How kernels are packed.
    """
    found: dict[tuple[str, str, str], list[StepParts]] = {}
    for row in rows:
        training, _, _ = ledgers_of(folders[row.run])
        if row.scheme in schemes and row.did_learn and training is not None:
            parts = StepParts.of(training, profiles[row.device], config)
            found.setdefault((row.device, row.mechanism, row.scheme), []).append(parts)
    if not found:
        return []
    cells = []
    for (device, mechanism, scheme), of_seeds in found.items():
        means = StepParts(*map(statistics.fmean, zip(*map(astuple, of_seeds), strict=True)))
        static = f"{number(means.in_network)} ({number(means.in_layer)})"
        values = (means.refresh, means.programming, means.verify, means.rest)
        cells.append([device, MECHANISM_NAMES[mechanism], f"`{scheme}`", static, *map(number, values)])
    text = (
        "Energy of a training step in µJ. Static: of all arrays while the network works on the step and, in "
        "brackets, with each layer's arrays on only while that layer works; idle power is assumed in all profiles. "
        "The other columns are without static power, so the sum of a row is the step's energy in the scope network. "
        "Refresh: looking for full pairs of one-way devices, resetting and writing them. Writing and verifying: "
        "write-verify loops, also those that make copies equal, without refreshes. The rest: products, update "
        "pulses, movement, digital work.",
    )
    header = ["device", "learning", "scheme", "static", "refresh", "writing", "verifying", "the rest"]
    return [Section(title="A training step, in parts", text=text, table=Table(header=header, rows=cells))]
