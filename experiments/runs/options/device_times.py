"""At which times a device's accuracy is measured: those that were asked for, or those at which it is known."""

from typing import Final

from devices import DeviceModel

from ...support.durations import parse_times, write_times

DEFAULT_TIMES: Final = "1s,1h,1d,1month,1y"


def resolve_times(times: str | None, device: DeviceModel) -> str:
    """Return the times to measure at, as `parse_times` reads them.

    Args:
        times: What was asked for, or None for the default times at which the device was measured.
        device: The memory cell.

    Raises:
        ValueError: If the device is not known at one of the times.
    """
    if times is None:
        return write_times(tuple(t for t in parse_times(DEFAULT_TIMES) if device.valid_at(t)))
    for time in parse_times(times):
        device.check_time(time)
    return write_times(parse_times(times))
