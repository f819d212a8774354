"""The runs of `xbar compare-devices`: which device trains which network how."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal

from devices import get

from ...data.examples import Facts, Shape, facts_of
from ...runs.options.config import TrainConfig
from ...runs.options.defaults import resolve
from ...runs.rates.own_rates import rate_of_study
from ...runs.rates.tuned import with_found_rate
from ...support.durations import parse_times, write_times
from ..study import Point, family_of, steps_of
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


def wish_of(point: Point, config: CompareDevicesPlan, known: Facts | Shape) -> TrainConfig:
    """Return what `xbar train` is asked for, for one run.

    Args:
        point: The run.
        config: What the study does.
        known: What is known of the data; of networks of ours the shape of an image is enough.

    Raises:
        ValueError: If no network fits the images, or a device is not known at any of the times.
    """
    facts, model = facts_of(known), config.model
    if model is None:
        model = f"{point.scheme}_{family_of(known, config.data)}"
    device = get(point.device)
    wish = TrainConfig(
        data=config.data,
        data_dir=config.data_dir,
        download=config.download,
        train_images=config.train_images,
        test_images=config.test_images,
        loss=config.loss,
        metric=config.metric,
        model=model,
        placement=_PLACEMENTS[point.scheme] if config.model is not None and point.scheme == "fcn" else None,
        mode=point.mechanism,  # type: ignore[arg-type]
        device=point.device,
        epochs=config.epochs,
        tuned=config.tuned,
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
    usual = resolve(wish, known)
    wish = with_found_rate(wish, usual)
    if point.mechanism == "hwa":
        return wish
    return replace(
        wish,
        lr=wish.lr or rate_of_study(usual, _PLACEMENTS[point.scheme], facts),
        record_every=max(1, usual.epochs * steps_of(facts.images or 1, usual.batch_size) // _RECORDED_ROWS)
        if usual.backend == "batched"
        else 0,
    )
