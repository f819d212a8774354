"""What a run costs with the profile that fits its device: a step, a chip, an image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from crossbar import EventLedger, HardwareProfile, load_profile, price
from crossbar.cost.bill import Bill
from crossbar.cost.packing import parse_packing
from crossbar.cost.tables import with_prefix
from devices import get

from ..drawing.sections import Table
from ..runs.ledger_file import RunEvents
from ..runs.options.config import LEARNS_ON_DEVICES, NO_DEVICE
from ..runs.options.profile_of_device import profile_of
from ..runs.run import Run
from ..support.statistics import NOTHING

_HEADER: Final = ("", "per", "energy", "time", "all of it: energy", "time", "area")


@final
@dataclass(frozen=True, kw_only=True)
class RunBill:
    """Bills of what a run made happen; energy, time and area of each come from one packing.

    Attributes:
        profile: What prices it.
        packing: How kernels lie in arrays, as it was asked for.
        ledgers: What happened, by name: training (where devices learn), programming, inference.
        bills: What it costs, by the same names.
    """

    profile: HardwareProfile
    packing: str
    ledgers: Mapping[str, EventLedger]
    bills: Mapping[str, Bill]

    @classmethod
    def of(cls, events: RunEvents, run: Run, packing: str) -> "RunBill | None":
        """Price a run, or return None where there is no device, or none of a technology that has a profile.

        Args:
            events: What happened.
            run: Which run it was.
            packing: As `parse_packing` reads it.

        Raises:
            ValueError: If a pattern of `packing` fits no layer.
        """
        if not has_profile(run.device):
            return None
        profile = load_profile(profile_of(get(run.device).name))
        ledgers = ledgers_of(events)
        if run.mode not in LEARNS_ON_DEVICES:
            ledgers.pop("training", None)  # it was done in software, on another machine
        how = parse_packing(packing)
        bills = {name: price(ledger, profile, packing=how) for name, ledger in ledgers.items()}
        return cls(profile=profile, packing=packing, ledgers=ledgers, bills=bills)

    def table(self) -> Table:
        """Return what a step, a chip and an image cost, and all of them."""
        rows = [[name, *_cells(bill, self.ledgers[name], name)] for name, bill in self.bills.items()]
        return Table(header=list(_HEADER), rows=rows)


def has_profile(device: str) -> bool:
    """Say whether there is a device, of a technology that has a profile."""
    if device == NO_DEVICE:
        return False
    try:
        profile_of(get(device).name)
    except ValueError:
        return False
    return True


def no_price(device: str, packing: str) -> ValueError:
    """Return the error for a packing of what has no price."""
    reason = "there is no profile for its technology"
    if device == NO_DEVICE:
        reason = "nothing is put on arrays"
    return ValueError(
        f"`packing` must be left out with --device {device}, but is {packing!r}: {reason}. Leave it out."
    )


def ledgers_of(events: RunEvents) -> dict[str, EventLedger]:
    """Return the parts of a run that are known, by name."""
    ledgers: dict[str, EventLedger | None] = {"training": events.training}
    if events.evaluation is not None:
        ledgers |= {"programming": events.evaluation.programming, "inference": events.evaluation.inference}
    return {name: ledger for name, ledger in ledgers.items() if ledger is not None}


def _cells(bill: Bill, ledger: EventLedger, phase: str) -> list[str]:
    unit, number = {"training": ("step", ledger.steps), "inference": ("image", ledger.images)}.get(
        phase, ("chip", 1)
    )
    energy, seconds = 1e-6 * bill.with_digital, bill.sequential
    each = (
        [with_prefix(energy / number, "J"), with_prefix(seconds / number, "s")] if number else [NOTHING] * 2
    )
    return [unit, *each, with_prefix(energy, "J"), with_prefix(seconds, "s"), f"{bill.area * 1e-6:.3g} mm²"]
