"""Static power: what arrays draw whether they work or not, and for how long they do.

For how long decides many comparisons, and no table of constants can say it: it is a choice of the designer and of
whoever uses the chip. So it is an argument of every price, never a constant of a profile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal, final, get_args

from devices.units import Dimensionless, Seconds

from .events import PHASES
from .hardware_profile import HardwareProfile
from .packing import Packing

PerSecond = Annotated[float, "1/s"]
MicroWatts = Annotated[float, "µW"]

StaticScope = Literal["layer", "network", "always-on"]
"""layer: an array draws static power while its layer works; all others are switched off. network: all arrays draw it
while any layer works, and none between images. always-on: all draw it all the time, also between images."""

SCOPES: Final[tuple[StaticScope, ...]] = get_args(StaticScope)


@final
@dataclass(frozen=True, kw_only=True)
class StaticPower:
    """When arrays draw static power.

    Attributes:
        scope: See `StaticScope`.
        frame_rate: Always on: images that come in a second, or are trained on. None otherwise.
        duty_cycle: Always on, instead of a rate: part of the time in which the network works. None otherwise.

    Raises:
        ValueError: If the scope has another name, or rate and duty cycle do not fit it.
    """

    scope: StaticScope = "network"
    frame_rate: PerSecond | None = None
    duty_cycle: Dimensionless | None = None

    def __post_init__(self) -> None:
        """Check."""
        if self.scope not in SCOPES:
            raise ValueError(
                f"`scope` of static power must be one of {', '.join(SCOPES)}, but is {self.scope!r}. Choose one."
            )
        given = [name for name in ("frame_rate", "duty_cycle") if getattr(self, name) is not None]
        if self.scope != "always-on" and given:
            raise ValueError(
                f"`{given[0]}` must be left out with the scope {self.scope!r}, but is {getattr(self, given[0])}: "
                "arrays are off between images then. Leave it out, or choose always-on."
            )
        if self.scope == "always-on" and len(given) != 1:
            raise ValueError(
                "`frame_rate` or `duty_cycle` must be given with the scope 'always-on', one of the two, but "
                f"{'both are' if given else 'none is'}. Say how many images come in a second."
            )
        if self.frame_rate is not None and not 0 < self.frame_rate < float("inf"):
            raise ValueError(
                f"`frame_rate` must be above 0 images a second, but is {self.frame_rate}. Correct it."
            )
        if self.duty_cycle is not None and not 0 < self.duty_cycle <= 1:
            raise ValueError(f"`duty_cycle` must lie in (0, 1], but is {self.duty_cycle}. Correct it.")

    def __str__(self) -> str:
        if self.frame_rate is not None:
            return f"always on, {self.frame_rate:g} images a second"
        if self.duty_cycle is not None:
            return f"always on, at work {100 * self.duty_cycle:g} % of the time"
        return {"layer": "each layer on while it works", "network": "all layers on while one works"}[
            self.scope
        ]

    def seconds_on(
        self, busy: Mapping[str, Mapping[str, Seconds]], images: int
    ) -> dict[str, dict[str, Seconds]]:
        """Return for how long each layer draws static power, by phase, if layers work one after the other.

        Args:
            busy: How long each layer works, by phase.
            images: How many images that work was for.

        Raises:
            ValueError: If the network cannot take that many images a second, even with all layers at work at once.
        """
        if self.scope == "layer":
            return {name: dict(phases) for name, phases in busy.items()}
        lasts = {phase: sum(of_layer[phase] for of_layer in busy.values()) for phase in PHASES}
        if self.scope == "always-on":
            stretch = self._seconds(busy, images) / (sum(lasts.values()) or 1.0)
            lasts = {phase: seconds * stretch for phase, seconds in lasts.items()}
        return dict.fromkeys(busy, lasts)

    def seconds_on_in_pipeline(
        self, busy: Mapping[str, Mapping[str, Seconds]], images: int
    ) -> dict[str, Seconds]:
        """Return for how long each layer draws static power if all layers work at once, each on its own image."""
        of_layers = {name: sum(phases.values()) for name, phases in busy.items()}
        if self.scope == "layer":
            return of_layers
        slowest = max(of_layers.values(), default=0.0)
        return dict.fromkeys(of_layers, self._seconds(busy, images) if self.scope == "always-on" else slowest)

    def _seconds(self, busy: Mapping[str, Mapping[str, Seconds]], images: int) -> Seconds:
        """Return how long a chip that is always on is on, for that many images."""
        total = sum(sum(phases.values()) for phases in busy.values())
        if self.duty_cycle is not None:
            return total / self.duty_cycle
        assert self.frame_rate is not None
        if images == 0:
            return total  # nothing came: written, or made equal, and nothing else
        slowest = max((sum(phases.values()) for phases in busy.values()), default=0.0)
        seconds = images / self.frame_rate
        if seconds < slowest * (1 - 1e-9):
            raise ValueError(
                f"`frame_rate` must be at most {images / slowest:.6g} images a second, which this hardware takes "
                f"with all layers at work at once, but is {self.frame_rate:g}. Lower it, or use more tiles."
            )
        return seconds


def idle_power(profile: HardwareProfile, packing: Packing) -> MicroWatts:
    """Return the static power of one array, µW.

    An array that can switch off converters of unused lines draws static power for the lines in use only: their part
    of all lines, as converters and drivers draw most of it (assumed; no source splits it). Where converters cannot be
    switched off, every array draws all of it.
    """
    if not profile.gated_periphery:
        return profile["static_power"]
    lines = profile.count("word_lines") + profile.count("bit_lines")
    return profile["static_power"] * sum(packing.lines_in_use) / lines
