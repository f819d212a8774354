"""What `xbar does-it-matter` can be asked for."""

from dataclasses import dataclass
from typing import Annotated, final

import tyro

from ...support.options.open_options import OPEN_INT, OPEN_NAME


@final
@dataclass(frozen=True, kw_only=True)
class DoesItMatterConfig:
    """Which of a run's non-idealities change its result, and which settings have no effect at all?

    Switches off each one that is on, alone, with the same chips, seeds and images, and compares. A network that was
    trained in software is programmed again; one that learned on devices learns again, for few epochs, also for the
    comparison. Writes does_it_matter.json and .png into the run's folder.

    Changes are told with their 95 % interval, of which chips (or seeds) and test images are the sample: what would
    be found with other chips and other images. matters: the whole interval lies beyond the threshold, so at a
    threshold of 0 one in twenty does by chance; confirm small effects with more chips or seeds. below the
    threshold: the whole interval lies within it. within the spread: neither; more chips, seeds or test images would
    tell. NO EFFECT: every output is the same to the last bit, so the setting did nothing. The last line says what to
    change first; `xbar what-if` by how much, for a device file.

    Examples:
      xbar does-it-matter runs/fcn_digits-hwa-pcm-0123456789ab
      xbar does-it-matter runs/fcn_digits-hwa-pcm-0123456789ab --time 1y --chips 20
      xbar does-it-matter runs/fcn_digits-in-situ-ecram-0123456789ab --seeds 5 --epochs 20
      xbar does-it-matter runs/fcn_digits-hwa-pcm-0123456789ab --threshold 0.5
    """

    run: Annotated[str, tyro.conf.Positional]
    """The run folder, or its name in the folder of runs."""
    time: Annotated[str | None, OPEN_NAME] = None
    """Time since programming at which to compare, for example 1d. (default: the run's last)"""
    chips: Annotated[int | None, OPEN_INT] = None
    """Chips to program. (default: 10)"""
    seeds: Annotated[int | None, OPEN_INT] = None
    """Trainings for each switch, for networks that learned on devices. (default: 3)"""
    epochs: Annotated[int | None, OPEN_INT] = None
    """Epochs of these trainings. (default: 5, or the run's if it had fewer)"""
    threshold: float = 0.0
    """Changes of accuracy up to so many percentage points do not matter to you."""
    jobs: Annotated[int | None, OPEN_INT] = None
    """Trainings at the same time. (default: OMP_NUM_THREADS, or all cores)"""
    trust: bool = False
    """Execute the run's copy of a file of your own although it has been changed since the training."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no comparison.

        Raises:
            ValueError: If a number lies outside its range.
        """
        for name, lowest in (("chips", 2), ("seeds", 2), ("epochs", 1), ("jobs", 1)):
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise ValueError(
                    f"`{name}` must be {lowest} or more, but is {value}. A change needs a spread to stand out from."
                )
        if not 0 <= self.threshold < 100:
            raise ValueError(
                f"`threshold` must lie in [0, 100) percentage points, but is {self.threshold:g}. Give 0.5, say."
            )
