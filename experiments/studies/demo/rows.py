"""What `xbar demo` knows of one scheme of sharing."""

from dataclasses import asdict, dataclass
from typing import Any, Final, final

from devices.units import Dimensionless, MicroJoules, Seconds

# How the table calls a scheme, the network, and its placement. Largest price of equality first.
SCHEMES: Final = {
    "shared, one tile": ("cnn_digits", "time_multiplexed"),
    "shared, a copy for each location": ("cnn_digits", "replicated"),
    "not shared": ("fcn_digits", "free"),
}


@final
@dataclass(frozen=True, kw_only=True)
class Row:
    """One scheme.

    Attributes:
        scheme: As the table calls it.
        run: The run's folder.
        command: The `xbar train` line that repeats it.
        test_images: Images behind each accuracy.
        digital: Accuracy of the trained weights without hardware.
        times: Seconds since programming.
        extrapolated: Those that lie beyond what was measured.
        accuracy: With drift compensation, mean over the chips, at each of the times.
        spread: Its standard deviation over the chips; None for one chip.
        energy: Of an image, µJ, for each scope of static power.
        latency: Of an image, s.
        area: mm².
        tiles: Arrays.
        did_learn: Whether the network learned at all; see `chance.RULE`.
    """

    scheme: str
    run: str
    command: str
    test_images: int
    digital: Dimensionless
    times: tuple[Seconds, ...]
    extrapolated: tuple[Seconds, ...]
    accuracy: tuple[Dimensionless, ...]
    spread: tuple[Dimensionless | None, ...]
    energy: dict[str, MicroJoules]
    latency: Seconds
    area: Dimensionless
    tiles: int
    did_learn: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the row in the types of JSON."""
        return asdict(self)
