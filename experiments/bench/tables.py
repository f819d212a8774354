"""The tables that `xbar bench` prints, and what was aimed at beside what was measured."""

from collections.abc import Iterator, Sequence
from statistics import mean
from typing import Final

from devices.units import Seconds

from .figure import NAMES, WORK_NAMES
from .growth import BATCH_SIZE, GROWTH_CONFIGURATION, IN_SIZE, OUT_SIZE, GrowthPoint
from .in_place import EPOCH, EPOCH_BATCH, EPOCH_NETWORK, InPlaceComparison
from .other_layers import BATCH, LayerComparison
from .speed import CONTESTANTS, LONG, TOGETHER, Comparison, Spread
from .step import STEP_DEVICE, StepComparison
from .update import UPDATE_CONTESTANTS, UpdateComparison
from .wires import INPUTS, OHM, WiresTiming

# Set for the MNIST network, hardware-aware and in situ, batch 64, on two cores.
_TARGET_NETWORK: Final = "fcn_mnist"
_TARGET_CONFIGURATION: Final = "StandardHWATrainingPreset"
_TARGET_BATCH: Final = 64
_UPDATE_TARGETS: Final = {
    "ConstantStep": 25,
    "SoftBounds": 25,
    "Tiki-Taka v1 ReRamSB": 80,
    "Tiki-Taka v2 ReRamSB": 30,
}
_EXACT_TARGET, _SMALL_TARGET = 8, 4
# For the three-layer network that learns in place, an epoch of 60,000 images in batches of 10.
_EPOCH_TARGETS: Final[dict[str, Seconds]] = {"ReRamSB": 60, "Tiki-Taka v1 ReRamSB": 150}


def speed_table(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Write times in ms, and ratios with their quartiles, one block for each configuration and batch."""
    heading = ""
    for c in comparisons:
        if heading != (heading := f"{c.configuration}, batch {c.batch_size}"):
            names = "".join(f"{NAMES[name]:>14}" for name in CONTESTANTS)
            yield f"{heading}  (ms; ratios: median and quartiles)"
            yield f"  {'layers':<28}{'work':<20}{names}{'loop / ours':>22}{'ours / digital':>22}"
        layers = "all of them together" if c.layers == TOGETHER else f"{c.layers}: {c.tiles}"
        times = "".join(f"{1e3 * c.seconds[name].median:>14.2f}" for name in CONTESTANTS)
        ratios = f"{_ratio(c.loop_over_ours):>22}{_ratio(c.ours_over_digital):>22}"
        yield f"  {layers:<28}{WORK_NAMES[c.work]:<20}{times}{ratios}"
        if c.layers == TOGETHER and c.work == "evaluation_forward":
            yield ""


def growth_table(growth: Sequence[GrowthPoint]) -> Iterator[str]:
    """Write what one tile costs: time, and memory as a multiple of the weights."""
    if not growth:
        return
    yield (
        f"Tiles of {OUT_SIZE}x{IN_SIZE}, {GROWTH_CONFIGURATION.__name__}, batch {BATCH_SIZE}; "
        "memory as a multiple of the weights"
    )
    yield (
        f"  {'':<14}{'tiles':>8}{'construction':>15}{'pass per tile':>16}"
        f"{'tensors':>10}{'resident':>10}{'peak of a pass':>16}"
    )
    for p in growth:
        memory = f"{p.tensor_bytes / p.weight_bytes:>9.1f}x"
        memory += f"{_multiple(p.resident_bytes, p):>10}{_multiple(p.peak_bytes, p):>16}"
        yield (
            f"  {NAMES[p.contestant]:<14}{p.tiles:>8,}{1e3 * p.construction_seconds:>12.1f} ms"
            f"{1e6 * p.pass_seconds / p.tiles:>13.1f} µs{memory}"
        )
    yield ""


def update_table(updates: Sequence[UpdateComparison], network: str) -> Iterator[str]:
    """Write the times of updates in ms, and how much faster than the loop ours are."""
    if not updates:
        return
    yield (
        f"Pulsed update alone, all local layers of {network} together, batch {updates[0].batch_size}  "
        "(ms; ratios: median and quartiles)"
    )
    names = "".join(f"{NAMES[name]:>14}" for name in UPDATE_CONTESTANTS)
    yield f"  {'learning rule':<28}{'gradients':<12}{names}{'loop / ours':>22}{'loop / exact':>22}{'rounds':>8}"
    for c in updates:
        times = "".join(f"{1e3 * c.seconds[name].median:>14.2f}" for name in UPDATE_CONTESTANTS)
        ratios = f"{_ratio(c.loop_over_ours):>22}{_ratio(c.loop_over_exact):>22}"
        yield f"  {c.rule:<28}{c.gradients:<12}{times}{ratios}{c.rounds:>8}"
    yield f"  (fewer rounds where an update takes over {LONG:.0f} s)"
    yield ""


def in_place_table(in_place: Sequence[InPlaceComparison]) -> Iterator[str]:
    """Write the times of networks and small tiles that learn in place, in ms, one line for each rule and batch."""
    heading = ""
    for c in in_place:
        if heading != (heading := c.what):
            yield f"{heading}, learning in place  (ms; ratio: median and quartiles)"
            names = "".join(f"{NAMES[name]:>14}" for name in c.seconds)
            yield f"  {'learning rule':<28}{'batch':<12}{names}{'loop / ours':>22}{'rounds':>8}"
        times = "".join(f"{1e3 * spread.median:>14.3f}" for spread in c.seconds.values())
        yield f"  {c.rule:<28}{c.batch_size:<12}{times}{_ratio(c.loop_over_ours):>22}{c.rounds:>8}"
    if in_place:
        yield ""


def step_table(steps: Sequence[StepComparison], network: str, images: str) -> Iterator[str]:
    """Write the times of whole training steps in ms, and ratios with their quartiles."""
    if not steps:
        return
    yield (
        f"Training step in situ, {network} on {STEP_DEVICE}, whole network, first epoch  "
        f"(ms; ratios: median and quartiles; images: {images})"
    )
    names = "".join(f"{NAMES[name]:>14}" for name in CONTESTANTS)
    yield f"  {'after step':<28}{'loss':<12}{names}{'loop / ours':>22}{'ours / digital':>22}{'rounds':>8}"
    for c in steps:
        times = "".join(f"{1e3 * c.seconds[name].median:>14.2f}" for name in CONTESTANTS)
        ratios = f"{_ratio(c.loop_over_ours):>22}{_ratio(c.ours_over_digital):>22}"
        yield f"  {c.step:<28}{c.loss:<12.3f}{times}{ratios}{c.rounds:>8}"
    means = mean_step_seconds(steps)
    times = "".join(f"{1e3 * means[name]:>14.2f}" for name in CONTESTANTS)
    ratios = f"{means['aihwkit_loop'] / means['ours']:>22.1f}{means['ours'] / means['digital']:>22.1f}"
    yield f"  {'mean of these':<40}{times}{ratios}"
    yield ""


def wires_table(wires: Sequence[WiresTiming]) -> Iterator[str]:
    """Write what seeing all arrays through their wires takes once, and each read of them afterwards."""
    if not wires:
        return
    yield f"Arrays with wires of {OHM:g} ohm, {INPUTS} inputs each (ms)"
    yield f"  {'':<14}{'arrays':>22}{'once, exactly':>16}{'each read':>12}{'badcrossbar, each read':>25}{'ratio':>8}"
    network = [timing for timing in wires if timing.layer != "one array"]
    rows = [(t.layer, f"{t.arrays} of {t.bit_lines}x{t.word_lines}", [t]) for t in wires]
    rows.append(("network", f"{sum(t.arrays for t in network)}", network))
    for name, arrays, timings in rows:
        once, read = (1e3 * sum(getattr(t, what) for t in timings) for what in ("once", "read"))
        theirs = [t.badcrossbar for t in timings if t.badcrossbar is not None]
        beside = (
            f"{1e3 * sum(theirs):>25.1f}{1e3 * sum(theirs) / once:>8.1f}"
            if theirs
            else f"{'not installed':>25}"
        )
        yield f"  {name:<14}{arrays:>22}{once:>16.1f}{read:>12.2f}{beside}"
    yield ""


def layers_table(layers: Sequence[LayerComparison]) -> Iterator[str]:
    """Write the times of steps of hardware-aware training through other layers in ms."""
    if not layers:
        return
    yield f"Hardware-aware step beside aihwkit's own layers, batch {BATCH}  (CPU ms; ratio: median and quartiles)"
    yield f"  {'':<28}{'aihwkit':>14}{'ours':>14}{'aihwkit / ours':>22}{'rounds':>8}"
    for c in layers:
        times = "".join(f"{1e3 * c.seconds[name].median:>14.2f}" for name in ("aihwkit", "ours"))
        yield f"  {c.what:<28}{times}{_ratio(c.aihwkit_over_ours):>22}{c.rounds:>8}"
    yield ""


def mean_step_seconds(steps: Sequence[StepComparison]) -> dict[str, Seconds]:
    """Return the mean of the median times of each contestant over the steps of the epoch."""
    return {name: mean(c.seconds[name].median for c in steps) for name in CONTESTANTS}


def _ratio(spread: Spread) -> str:
    return f"{spread.median:.1f} ({spread.quartiles[0]:.1f} to {spread.quartiles[1]:.1f})"


def _multiple(size: int | None, point: GrowthPoint) -> str:
    return "unknown" if size is None else f"{size / point.weight_bytes:.1f}x"


def targets(
    model: str,
    comparisons: Sequence[Comparison],
    growth: Sequence[GrowthPoint],
    updates: Sequence[UpdateComparison],
    steps: Sequence[StepComparison],
    in_place: Sequence[InPlaceComparison],
) -> Iterator[dict[str, str]]:
    """Put what was aimed at beside what was measured, as far as it was measured."""
    yield from _forward_targets(model, comparisons)
    yield from _growth_targets(growth)
    yield from _in_place_targets(in_place)
    if model == _TARGET_NETWORK:
        yield from _update_targets(updates)
        if steps:
            means = mean_step_seconds(steps)
            for what, one, other in (
                ("Training step in situ, faster than the loop by", "aihwkit_loop", "ours"),
                ("Training step in situ, times the digital step", "ours", "digital"),
            ):
                yield _target(what, "measured", f"{means[one] / means[other]:.1f}x")


def _forward_targets(model: str, comparisons: Sequence[Comparison]) -> Iterator[dict[str, str]]:
    for c in comparisons:
        place = (model, c.configuration, c.batch_size)
        if place != (_TARGET_NETWORK, _TARGET_CONFIGURATION, _TARGET_BATCH):
            continue
        loop, digital = f"{c.loop_over_ours.median:.1f}", f"{c.ours_over_digital.median:.1f}"
        if c.layers == TOGETHER and c.work == "training_step":
            yield _target("Training step, all local layers, times the digital step", "at most 2.0", digital)
            yield _target(
                "Training step, all local layers, faster than the loop by", "at least 8x", f"{loop}x"
            )
        elif c.layers == TOGETHER and c.work == "evaluation_forward":
            what = "Forward in evaluation, all local layers"
            yield _target(f"{what}, times the digital one", "at most 4", digital)
            yield _target(f"{what}, faster than the loop by", "at least 20x", f"{loop}x")
        elif c.layers == "local1" and c.work == "training_step":
            yield _target(
                "Training step, first layer alone, faster than the loop by", "at least 15x", f"{loop}x"
            )


def _growth_targets(growth: Sequence[GrowthPoint]) -> Iterator[dict[str, str]]:
    ours = {point.tiles: point for point in growth if point.contestant == "ours"}
    if 10_000 in ours:
        most = ours[10_000]
        yield _target("10,000 tiles, construction", "under 2 s", f"{most.construction_seconds:.2f} s")
        resident = _multiple(most.resident_bytes, most)
        yield _target("10,000 tiles, resident memory over weights", "a small multiple", resident)
        if 1_000 in ours:
            growth_of_cost = most.pass_seconds / (10 * ours[1_000].pass_seconds)
            yield _target("Time per tile, 10,000 tiles over 1,000", "flat (1)", f"{growth_of_cost:.2f}")


def _in_place_targets(in_place: Sequence[InPlaceComparison]) -> Iterator[dict[str, str]]:
    for c in in_place:
        if (c.what, c.batch_size) == (EPOCH_NETWORK, EPOCH_BATCH) and c.rule in _EPOCH_TARGETS:
            epoch = EPOCH / EPOCH_BATCH * c.seconds["ours"].median
            what = f"{EPOCH:,} images in batches of {EPOCH_BATCH}, {c.what}, {c.rule}"
            yield _target(what, f"at most {_EPOCH_TARGETS[c.rule]:.0f} s", f"{epoch:.0f} s")


def _update_targets(updates: Sequence[UpdateComparison]) -> Iterator[dict[str, str]]:
    for c in updates:
        if c.batch_size != _TARGET_BATCH:
            continue
        what = f"Update alone, {c.rule}, {c.gradients} gradients, faster than the loop by"
        least = _SMALL_TARGET if c.gradients == "small" else _UPDATE_TARGETS.get(c.rule)
        if least is not None:
            yield _target(what, f"at least {least}x", f"{c.loop_over_ours.median:.1f}x")
        if c.gradients == "dense":
            what = what.replace(", faster", ", exact engine, faster")
            yield _target(what, f"at least {_EXACT_TARGET}x", f"{c.loop_over_exact.median:.1f}x")


def _target(what: str, target: str, measured: str) -> dict[str, str]:
    return {"what": what, "target": target, "measured": measured}
