"""The times after programming at which devices are looked at."""

from ..device_model import DeviceModel
from ..units import Seconds

MINUTE: Seconds = 60.0
HOUR: Seconds = 3600.0
DAY: Seconds = 86400.0
YEAR: Seconds = 365.25 * DAY

MOMENTS: dict[Seconds, str] = {
    1.0: "1 s",
    MINUTE: "1 min",
    HOUR: "1 h",
    DAY: "1 d",
    30 * DAY: "1 month",
    YEAR: "1 y",
}


def valid_moments(device: DeviceModel) -> list[Seconds]:
    """Return those of the moments about which a device's model states something."""
    return [time for time in MOMENTS if device.valid_at(time)]
