"""The grid of `xbar sharing-cost`: which runs it consists of, and the `xbar train` line of each."""

from dataclasses import replace
from typing import Final

from crossbar import load_profile
from devices import get
from models import build

from ...data.examples import Facts, Shape, facts_of
from ...runs.networks.first_network import is_own, tokens_of
from ...runs.networks.own_network import AS_BUILT
from ...runs.options.config import TrainConfig
from ...runs.options.defaults import resolve
from ...runs.options.profile_of_device import profile_of, tile_size_in
from ...runs.options.refusals import speaking_of
from ...runs.rates.own_rates import rate_of_study
from ...runs.rates.tuned import with_found_rate
from ..study import Point, family_of, steps_of
from .config import SharingCostPlan

# Rows of a record, and measurements of the accuracy: enough for a curve over the training, in little time.
_RECORDED_ROWS: Final = 40
# Of a short training fewer: a look at the validation images takes about as long as a step on the devices.
_FEWEST_STEPS_BETWEEN: Final = 5
__all__ = ["Point", "points_of", "why_not", "wish_of"]


def points_of(config: SharingCostPlan) -> tuple[list[Point], dict[str, str]]:
    """List the runs of a study, and say which cells of its grid cannot be run.

    Args:
        config: What the study does.

    Returns:
        The points, each once, seed by seed, so that an interrupted study holds whole grids; and for each cell that is
        left out its name and the reason.

    Raises:
        ValueError: If a device does not exist, or no cell can be run.
    """
    cells = [
        (device, mechanism, scheme)
        for device in config.devices
        for mechanism in config.mechanisms
        for scheme in config.schemes
    ]
    sweep = [f"{name}(tiles={count})" for name in ("replicated", "random") for count in config.tile_counts]
    if "in-situ" in config.mechanisms:
        cells += [(device, "in-situ", scheme) for device in config.devices for scheme in sweep]
    cells = list(dict.fromkeys(cells))
    left_out: dict[str, str] = {}
    for device, mechanism, scheme in cells:
        with speaking_of("devices"):
            reason = why_not(device, mechanism, scheme)
        if reason is not None:
            left_out[f"{device}, {mechanism}, {scheme}"] = reason
    points = [
        Point(*cell, seed) for seed in config.seeds for cell in cells if ", ".join(cell) not in left_out
    ]
    if not points:
        raise ValueError(
            f"`mechanisms` must fit the devices and schemes, but of {', '.join(config.mechanisms)} none does: "
            f"{next(iter(left_out.values()))}. Choose others."
        )
    return points, left_out


def why_not(device: str, mechanism: str, scheme: str) -> str | None:
    """Return why a cell of the grid cannot be run, or None if it can."""
    kind = get(device).kind
    if mechanism == "hwa" and kind == "training":
        return f"{device} has no model of programming and ageing, so nothing can be programmed onto it"
    if mechanism != "hwa" and kind == "inference":
        return f"{device} has no model of pulses, so it cannot learn or be written by them"
    if mechanism != "in-situ" and "sync_every" in scheme:
        return "copies drift apart, and are synchronised, only while each learns for itself in situ"
    return None


def wish_of(
    point: Point, config: SharingCostPlan, known: Facts | Shape, steps: int | None = None
) -> TrainConfig:
    """Return what `xbar train` is asked for, for one point.

    Every scheme trains the same architecture from the same distribution of initial weights; `free` is the FCN. Tiles
    are emulated with the size of the arrays that are priced, unless the study says otherwise.

    Args:
        point: The point.
        config: What the study does.
        known: What is known of the data; of networks of ours the shape of an image is enough.
        steps: Steps of an epoch, from which the interval of recording follows; those of the data if None.

    Raises:
        ValueError: If no network fits the images, or a scheme does not fit the network.
    """
    facts, model = facts_of(known), config.model
    if model is None:
        family = family_of(known, config.data)
        model = f"fcn_{family}" if point.scheme == "free" else f"cnn_{family}"
    if not is_own(model) and point.scheme != AS_BUILT:
        try:
            build(model, point.scheme, tokens_of(facts))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"`schemes` and `tile_counts` must fit {model}, but {point.scheme!r} does not. {error}"
            ) from None
    wish = TrainConfig(
        data=config.data,
        data_dir=config.data_dir,
        download=config.download,
        train_images=config.train_images,
        test_images=config.test_images,
        loss=config.loss,
        metric=config.metric,
        model=model,
        placement=None if point.scheme == AS_BUILT else point.scheme,
        mode=point.mechanism,  # type: ignore[arg-type]
        device=point.device,
        epochs=config.epochs,
        batch_size=config.batch_size,
        lr=config.lr,
        tuned=config.tuned,
        tile_size=config.tile_size or tile_size_in(load_profile(config.profile or profile_of(point.device))),
        seed=point.seed,
        chips=config.chips,
        times=config.times if get(point.device).kind != "training" else None,
        threads=config.threads,
        out=config.runs,
    )
    usual = resolve(wish, known)
    if steps is None:
        steps = steps_of(facts.images or 1, usual.batch_size)
    every = (
        0 if point.mechanism == "hwa" else max(_FEWEST_STEPS_BETWEEN, usual.epochs * steps // _RECORDED_ROWS)
    )
    wish = with_found_rate(wish, usual)
    return replace(
        wish,
        lr=wish.lr or rate_of_study(usual, point.scheme, facts),
        record_every=every,
        measure_every=every,
    )
