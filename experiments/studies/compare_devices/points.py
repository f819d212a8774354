"""The runs of `xbar compare-devices`: which device trains which network how."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal

from devices import get

from ...runs.options.config import TrainConfig
from ...runs.options.defaults import resolve
from ...runs.options.learning_rates import is_short_on, learning_rate
from ...support.durations import parse_times, write_times
from ..study import Point, family_of
from .config import CompareDevicesPlan

Mode = Literal["hwa", "in-situ"]

__all__ = ["Point", "points_of", "wish_of"]

_PLACEMENTS: Final[Mapping[str, str]] = {"fcn": "free", "cnn": "time_multiplexed"}
_RECORDED_ROWS: Final = 10  # of what updates do to devices: enough to see where they end


def points_of(config: CompareDevicesPlan) -> list[Point]:
    """Return all runs, those of one device one after the other.

    Raises:
        FileNotFoundError: If a device file is missing.
        ValueError: If there is no such device.
    """
    points = []
    for device in config.devices:
        kind = get(device).kind
        modes: tuple[Mode, ...] = (
            ("hwa", "in-situ") if kind == "both" else ("hwa",) if kind == "inference" else ("in-situ",)
        )
        points += [
            Point(device, mode, network, seed)
            for mode in modes
            for network in config.networks
            for seed in config.seeds
        ]
    return points


def wish_of(
    point: Point, config: CompareDevicesPlan, image_shape: tuple[int, int, int], steps: int
) -> TrainConfig:
    """Return what `xbar train` is asked for, for one run.

    Args:
        point: The run.
        config: What the study does.
        image_shape: Channels, height and width of the images.
        steps: Steps of an epoch, from which the interval of recording follows.

    Raises:
        ValueError: If no network fits the images, or a device is not known at any of the times.
    """
    family = family_of(image_shape, config.data)
    device = get(point.device)
    wish = TrainConfig(
        data=config.data,
        data_dir=config.data_dir,
        download=config.download,
        train_images=config.train_images,
        test_images=config.test_images,
        model=f"{point.scheme}_{family}",
        mode=point.mechanism,  # type: ignore[arg-type]
        device=point.device,
        epochs=config.epochs,
        seed=point.seed,
        chips=config.chips,
        threads=config.threads,
        out=config.runs,
    )
    if device.build is not None:
        times = tuple(time for time in parse_times(config.times) if device.valid_at(time))
        if not times:
            raise ValueError(
                f"`times` must hold one at which {device.name} is known, but are {config.times!r}. "
                f"`xbar devices {point.device}` tells them."
            )
        wish = replace(wish, times=write_times(times))
    usual = resolve(wish, image_shape)
    if point.mechanism == "hwa":
        return wish
    return replace(
        wish,
        lr=learning_rate(
            point.mechanism,
            point.device,
            image_shape,
            _PLACEMENTS[point.scheme],
            is_short=is_short_on(image_shape),
        ),
        record_every=max(1, usual.epochs * steps // _RECORDED_ROWS) if usual.backend == "batched" else 0,
    )
