"""What a comparison knows of one run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from crossbar import load_profile, price
from crossbar.cost.packing import parse_packing
from devices.units import Dimensionless

from ...runs.ledger_file import RunEvents
from ...runs.options.command_line import command_of
from ...runs.options.config import NO_DEVICE
from ...runs.options.profile_of_device import profile_of
from ...runs.result import Result
from ...runs.run_folder import RunFolder
from ...support.json_files import read_json


@final
@dataclass(frozen=True, kw_only=True)
class Compared:
    """One finished run.

    Attributes:
        folder: Where it lies.
        name: Its folder's name.
        configuration: What was run, field by field.
        log: A record for each epoch.
        result: What came out.
        command: The line that repeats it.
        profile: The hardware profile of its prices; None where its device has none.
        costs: Energy in µJ, time in s and area in mm² of an image; empty where it has no price.
    """

    folder: RunFolder
    name: str
    configuration: Mapping[str, Any]
    log: Sequence[Mapping[str, float]]
    result: Result
    command: str
    profile: str | None
    costs: Mapping[str, float]

    @property
    def over_time(self) -> list[tuple[Dimensionless, Dimensionless | None]]:
        """Mean accuracy and its deviation over the chips at each time, compensated where that was asked for."""
        name = next((name for name in self.result.accuracy if name != "none"), "none")
        return self.result.mean_and_std(name) if self.result.times else []

    @classmethod
    def read(cls, name: str, packing: str = "none") -> "Compared":
        """Read a finished run.

        Args:
            name: Its folder, or its name in the folder of runs.
            packing: How kernels lie in the arrays that are priced.

        Raises:
            FileNotFoundError: If it is missing.
            ValueError: If it is not finished, or damaged.
        """
        folder = RunFolder.existing(name)
        if not folder.result_file.exists():
            raise ValueError(
                f"`run` must be finished to be compared, but {folder.path} has no result.json yet. "
                f"Finish it with `xbar resume {folder.path}`."
            )
        trained = folder.read_config()
        profile, costs = None, {}
        evaluation = RunEvents.read(folder.ledger_file).evaluation
        if trained.device != NO_DEVICE and evaluation is not None and evaluation.inference is not None:
            try:
                profile = profile_of(trained.device)
            except ValueError:
                pass  # a technology without a profile
            else:
                bill = price(evaluation.inference, load_profile(profile), packing=parse_packing(packing))
                images = evaluation.inference.images
                costs = {
                    "energy": bill.with_digital / images,
                    "time": bill.sequential / images,
                    "area": bill.area * 1e-6,
                }
        return cls(
            folder=folder,
            name=folder.path.name,
            configuration=trained.to_json(),
            log=folder.read_log(),
            result=Result.from_json(read_json(folder.result_file)),
            command=command_of(trained.as_wish()),
            profile=profile,
            costs=costs,
        )
