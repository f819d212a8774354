"""`xbar bench`: the speed of the tile arrays against a loop over aihwkit's tiles and plain digital layers.

Medians from one run, in which the contestants take turns. What else the machine does moves times far more
than ratios, so read the ratios, and run it on a machine that is otherwise idle: about three minutes on two
cores. `bench_speed` says who does what, `bench_growth` how memory is counted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, final

from models import NETWORKS

from .bench_figure import NAMES, WORK_NAMES, draw_bench
from .bench_growth import BATCH_SIZE, GROWTH_CONFIGURATION, IN_SIZE, OUT_SIZE, GrowthPoint, measure_growth
from .bench_speed import CONTESTANTS, TOGETHER, Comparison, Spread, measure_speed, use_threads
from .config import available_threads
from .environment import describe_environment
from .json_files import write_json

# Set in the project's plan for the MNIST network, hardware-aware, batch 64, on two cores.
_TARGET_NETWORK: Final = "fcn_mnist"
_TARGET_CONFIGURATION: Final = "StandardHWATrainingPreset"
_TARGET_BATCH: Final = 64


@final
@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """Measure the speed of the tile arrays: ours, a loop over aihwkit's tiles, and plain digital layers.

    Prints a table, and writes bench.json and bench.png. About three minutes on two cores that have nothing
    else to do.

    Examples:
      xbar bench
      xbar bench --quick
      xbar bench --threads 1 --batch-sizes 1 16 256
    """

    quick: bool = False
    """A look that takes seconds: the small digits network, batches of 8, two rounds, up to 100 tiles. It
    shows that everything runs; its times mean little."""
    model: str = "fcn_mnist"
    """Network whose local layers are measured: fcn_mnist, fcn_cifar10 or fcn_digits."""
    batch_sizes: tuple[int, ...] = (8, 64)
    """Images in a batch."""
    tile_counts: tuple[int, ...] = (10, 100, 1_000, 10_000)
    """Numbers of tiles, of 32 x 9, for the cost per tile. The aihwkit loop stops at 1,000."""
    repeats: int = 10
    """Rounds in which every contestant has its turn, after a warm-up; medians and quartiles are over them."""
    threads: int | None = None
    """Threads to compute with, the same for all (default: OMP_NUM_THREADS, or all cores)."""
    out: Path = Path("runs/bench")
    """Folder for bench.json and bench.png; those of an earlier bench are replaced."""

    def __post_init__(self) -> None:
        """Refuse values that nothing could be measured with.

        Raises:
            ValueError: If a count is below one, a list is empty, or the network shares weights or is unknown.
        """
        free = sorted(name for name, shape in NETWORKS.items() if shape.placement == "free")
        if self.model not in free:
            raise ValueError(f"`model` must be one of {', '.join(free)}, but is {self.model!r}. Choose one.")
        for name in ("batch_sizes", "tile_counts"):
            if not getattr(self, name):
                raise ValueError(f"`{name}` must hold at least one number, but is empty. Give one.")
            for value in getattr(self, name):
                _check_at_least_one(name, value)
        _check_at_least_one("repeats", self.repeats)
        if self.threads is not None:
            _check_at_least_one("threads", self.threads)

    def resolved(self) -> "BenchConfig":
        """Return the configuration with what `quick` and the defaults stand for."""
        threads = self.threads or available_threads()
        if not self.quick:
            return replace(self, threads=threads)
        return replace(
            self, model="fcn_digits", batch_sizes=(8,), tile_counts=(10, 100), repeats=2, threads=threads
        )


def _check_at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"`{name}` must be 1 or more, but is {value}. Give a larger number.")


def run(config: BenchConfig) -> dict[str, object]:
    """Measure, print a table, write bench.json and bench.png.

    Args:
        config: What to measure.

    Returns:
        What bench.json holds: `config`, `environment`, `speed` (one entry for each `Comparison`), `growth`
        (one for each `GrowthPoint`) and `targets` (what was aimed at beside what was measured). Times are in
        seconds, memory in bytes.

    Raises:
        RuntimeError: If a measuring process fails.
    """
    config = config.resolved()
    assert config.threads is not None
    config.out.mkdir(parents=True, exist_ok=True)
    environment = describe_environment(config.threads)
    with use_threads(config.threads):
        comparisons = measure_speed(config.model, config.batch_sizes, config.repeats)
    growth = measure_growth(config.tile_counts, config.repeats, config.threads)
    targets = list(_targets(config.model, comparisons, growth))
    result: dict[str, object] = {
        "config": {**asdict(config), "out": str(config.out)},
        "environment": environment,
        "speed": [asdict(comparison) for comparison in comparisons],
        "growth": [asdict(point) for point in growth],
        "targets": targets,
    }
    write_json(config.out / "bench.json", result)
    draw_bench(comparisons, growth, config.out / "bench.png")
    threads = f"{config.threads} thread{'s' * (config.threads > 1)}"
    print(f"{environment['processor']}, {threads}, medians of {config.repeats} rounds\n")
    print("\n".join(_speed_table(comparisons)))
    print("\n".join(_growth_table(growth)))
    for target in targets:
        print(f"{target['what']}: {target['measured']} (target: {target['target']})")
    print(f"\nWritten: {config.out / 'bench.json'}, {config.out / 'bench.png'}")
    return result


def _speed_table(comparisons: Sequence[Comparison]) -> Iterator[str]:
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


def _growth_table(growth: Sequence[GrowthPoint]) -> Iterator[str]:
    """Write what one tile costs: time, and memory as a multiple of the weights."""
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


def _ratio(spread: Spread) -> str:
    return f"{spread.median:.1f} ({spread.quartiles[0]:.1f} to {spread.quartiles[1]:.1f})"


def _multiple(size: int | None, point: GrowthPoint) -> str:
    return "unknown" if size is None else f"{size / point.weight_bytes:.1f}x"


def _targets(
    model: str, comparisons: Sequence[Comparison], growth: Sequence[GrowthPoint]
) -> Iterator[dict[str, str]]:
    """Put what was aimed at beside what was measured, as far as it was measured."""
    for c in comparisons:
        place = (model, c.configuration, c.batch_size)
        if place != (_TARGET_NETWORK, _TARGET_CONFIGURATION, _TARGET_BATCH):
            continue
        loop, digital = f"{c.loop_over_ours.median:.1f}", f"{c.ours_over_digital.median:.1f}"
        if c.layers == TOGETHER and c.work == "training_step":
            yield _target("Training step, all local layers, times the digital step", "at most 2.5", digital)
            yield _target(
                "Training step, all local layers, faster than the loop by", "at least 8x", f"{loop}x"
            )
        elif c.layers == TOGETHER and c.work == "evaluation_forward":
            yield _target(
                "Forward in evaluation, all local layers, faster than the loop by", "at least 15x", f"{loop}x"
            )
        elif c.layers == "local1" and c.work == "training_step":
            yield _target(
                "Training step, first layer alone, faster than the loop by", "at least 15x", f"{loop}x"
            )
    ours = {point.tiles: point for point in growth if point.contestant == "ours"}
    if 10_000 in ours:
        most = ours[10_000]
        yield _target("10,000 tiles, construction", "under 2 s", f"{most.construction_seconds:.2f} s")
        resident = _multiple(most.resident_bytes, most)
        yield _target("10,000 tiles, resident memory over weights", "a small multiple", resident)
        if 1_000 in ours:
            growth_of_cost = most.pass_seconds / (10 * ours[1_000].pass_seconds)
            yield _target("Time per tile, 10,000 tiles over 1,000", "flat (1)", f"{growth_of_cost:.2f}")


def _target(what: str, target: str, measured: str) -> dict[str, str]:
    return {"what": what, "target": target, "measured": measured}
