"""`xbar bench`: the speed of the tile arrays against a loop over aihwkit's tiles and plain digital layers.

Medians from one run, in which the contestants take turns. What else the machine does moves times far more
than ratios, so read the ratios, and run it on a machine that is otherwise idle: about half an hour on two
cores. On one thread, times are those of the processor, which leave out while others had it. `speed`, `update`, `step`
and `in_place` say who does what, `growth` how memory is counted.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal, final

from models import NETWORKS

from ..runs.options.config import available_threads
from ..support.environment import describe_environment
from ..support.json_files import write_json
from ..support.options.idle_options import refuse_given
from ..support.options.open_options import OPEN_INT
from .figure import draw_bench, draw_learning
from .growth import GrowthPoint, measure_growth
from .in_place import QUICK_RULES, InPlaceComparison, measure_in_place
from .other_layers import QUICK, LayerComparison, measure_other_layers
from .speed import Comparison, clock_name, measure_speed, use_threads
from .step import STEPS, StepComparison, measure_steps
from .tables import (
    growth_table,
    in_place_table,
    layers_table,
    speed_table,
    step_table,
    targets,
    update_table,
    wires_table,
)
from .update import UpdateComparison, measure_updates
from .update_error import run_update_error
from .wires import WiresTiming, measure_wires

Part = Literal["all", "forward", "growth", "update", "step", "in-place", "wires", "layers", "update-error"]
_QUICK_STEPS: Final = (1, 5)
_REPEATS: Final = 10
_REPEATS_OF_STEPS: Final = 5  # asked for alone: a round takes a second
# What each part uses of the numbers.
_NUMBERS: Final = ("model", "batch_sizes", "data_dir", "tile_counts", "repeats")
_USED_BY: Final[dict[Part, tuple[str, ...]]] = {
    "all": _NUMBERS,
    "forward": ("model", "batch_sizes", "repeats"),
    "growth": ("tile_counts", "repeats"),
    "update": ("model", "batch_sizes", "repeats"),
    "step": ("model", "batch_sizes", "data_dir", "repeats"),
    "in-place": ("repeats",),
    "wires": ("model", "repeats"),
    "layers": ("repeats",),
    "update-error": ("repeats",),
}


@final
@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """Measure the speed of the tile arrays: ours, a loop over aihwkit's tiles, and plain digital layers.

    Prints tables, and writes bench.json, bench.png and bench_update.png. About half an hour on two
    cores that have nothing else to do.

    Examples:
      xbar bench
      xbar bench --only update
      xbar bench --quick
      xbar bench --threads 1 --batch-sizes 1 16 256
    """

    quick: bool = False
    """A look that takes seconds: the small digits network, batches of 8, two rounds, up to 100 tiles. It
    shows that everything runs; its times mean little."""
    only: Part = "all"
    """forward: passes and steps of hardware-aware training. growth: cost per tile. update: the pulsed update of
    learning in situ, alone; some minutes. step: whole steps of learning in situ, over a first epoch. in-place: LeNet
    and a network of 784-256-128-10 that learn in situ by every rule, at batch 1, 8, 10 and 64, and small tiles.
    wires: exact effective conductances of all arrays, beside badcrossbar if that is installed. layers: steps of
    hardware-aware training through convolutions of one and three dimensions, an LSTM and ResNet-20, beside aihwkit's
    own. update-error, which
    all leaves out: no times, but how far the aggregated update is from the exact one, on six devices; writes
    update_error.json and .png."""
    model: str = "fcn_mnist"
    """Network whose local layers are measured: fcn_mnist, fcn_cifar10 or fcn_digits."""
    batch_sizes: tuple[int, ...] = (8, 64)
    """Images in a batch; updates and steps of learning in situ are measured with the largest."""
    data_dir: Path = Path("data")
    """Folder of the images (of MNIST, for fcn_mnist) to learn in situ from; without them, images are drawn."""
    tile_counts: tuple[int, ...] = (10, 100, 1_000, 10_000)
    """Numbers of tiles, of 32 x 9, for the cost per tile. The aihwkit loop stops at 1,000."""
    repeats: Annotated[int | None, OPEN_INT] = None
    """Rounds in which every contestant has its turn, after a warm-up; medians and quartiles are over them. With
    --only update-error: how often each batch is sent. (default: 10; 5 for step alone; 4000 for update-error)"""
    threads: Annotated[int | None, OPEN_INT] = None
    """Threads to compute with, the same for all (default: OMP_NUM_THREADS, or all cores)."""
    out: Path = Path("runs/bench")
    """Folder for bench.json and the figures; those of an earlier bench are replaced."""

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
        for name in ("repeats", "threads"):
            if getattr(self, name) is not None:
                _check_at_least_one(name, getattr(self, name))

    def refuse_idle(self) -> None:
        """Refuse numbers that the part does not use, or that --quick replaces.

        Raises:
            ValueError: If one is given.
        """
        if self.quick:
            reason = "it has numbers of its own. Leave one of the two out"
            refuse_given(self, _NUMBERS, "with --quick", reason)
        idle = [name for name in _NUMBERS if name not in _USED_BY[self.only]]
        refuse_given(self, idle, f"with --only {self.only}", "that part does not use it. Leave it out")
        if self.model == "fcn_digits":
            reason = "its images come with the installation. Leave it out"
            refuse_given(self, ("data_dir",), "with --model fcn_digits", reason)

    def resolved(self) -> "BenchConfig":
        """Return the configuration with what `quick` stands for."""
        if not self.quick:
            return self
        return replace(self, model="fcn_digits", batch_sizes=(8,), tile_counts=(10, 100), repeats=2)


def _check_at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"`{name}` must be 1 or more, but is {value}. Give a larger number.")


def run(config: BenchConfig) -> dict[str, Any]:
    """Measure, print tables, write bench.json and the figures.

    Args:
        config: What to measure.

    Returns:
        What bench.json holds: `config`, `environment`, `speed` (one entry for each `Comparison`), `growth` (one for
        each `GrowthPoint`), `update` (`UpdateComparison`), `step` (`StepComparison`), `step_images` (what was learned
        from), `in_place` (`InPlaceComparison`), `wires` (`WiresTiming`), `layers` (`LayerComparison`) and `targets`
        (what was aimed at beside what was measured). Times are in seconds, memory in bytes. What was not asked for is
        empty. With `only` update-error, what update_error.json holds.

    Raises:
        RuntimeError: If a measuring process fails.
    """
    threads = config.threads or available_threads()
    if config.only == "update-error":
        with use_threads(threads):
            return run_update_error(config.repeats, config.out, quick=config.quick)
    config = config.resolved()
    repeats = config.repeats or (_REPEATS_OF_STEPS if config.only == "step" else _REPEATS)
    every = "forward", "growth", "update", "step", "in-place", "wires", "layers"
    parts = every if config.only == "all" else (config.only,)
    config.out.mkdir(parents=True, exist_ok=True)
    environment = describe_environment(threads)
    batch_size = max(config.batch_sizes)
    comparisons: list[Comparison] = []
    growth: list[GrowthPoint] = []
    updates: list[UpdateComparison] = []
    steps: list[StepComparison] = []
    in_place: list[InPlaceComparison] = []
    wires: list[WiresTiming] = []
    layers: list[LayerComparison] = []
    images = ""
    with use_threads(threads):
        clock = clock_name()
        if "forward" in parts:
            comparisons = measure_speed(config.model, config.batch_sizes, repeats)
        if "update" in parts:
            updates = measure_updates(config.model, batch_size, repeats)
        if "step" in parts:
            numbers = _QUICK_STEPS if config.quick else STEPS
            images, steps = measure_steps(config.model, batch_size, repeats, config.data_dir, numbers)
        if "in-place" in parts and config.quick:
            in_place = measure_in_place(repeats, rules=QUICK_RULES, batches=(1, 8), tiles=(1,))
        elif "in-place" in parts:
            in_place = measure_in_place(repeats)
        if "wires" in parts:
            wires = measure_wires(config.model, repeats)
        if "layers" in parts:
            layers = measure_other_layers(repeats, QUICK) if config.quick else measure_other_layers(repeats)
    if "growth" in parts:
        growth = measure_growth(config.tile_counts, repeats, threads)
    aims = list(targets(config.model, comparisons, growth, updates, steps, in_place))
    result: dict[str, Any] = {
        "config": {
            **asdict(config),
            "repeats": repeats,
            "threads": threads,
            "clock": clock,
            "out": str(config.out),
            "data_dir": str(config.data_dir),
        },
        "environment": environment,
        "speed": [asdict(comparison) for comparison in comparisons],
        "growth": [asdict(point) for point in growth],
        "update": [asdict(comparison) for comparison in updates],
        "step": [asdict(comparison) for comparison in steps],
        "step_images": images,
        "in_place": [asdict(comparison) for comparison in in_place],
        "wires": [asdict(timing) for timing in wires],
        "layers": [asdict(comparison) for comparison in layers],
        "targets": aims,
    }
    write_json(config.out / "bench.json", result)
    written = [config.out / "bench.json"]
    if comparisons or growth:
        written.append(config.out / "bench.png")
        draw_bench(comparisons, growth, written[-1])
    if updates or steps:
        written.append(config.out / "bench_update.png")
        draw_learning(updates, steps, config.model, written[-1])
    computed = f"{threads} thread{'s' * (threads > 1)}"
    timed = "CPU times, " if clock == "cpu" else ""
    print(f"{environment['processor']}, {computed}, {timed}medians of {repeats} rounds\n")
    for table in (
        speed_table(comparisons),
        growth_table(growth),
        update_table(updates, config.model),
        step_table(steps, config.model, images),
        in_place_table(in_place),
        wires_table(wires),
        layers_table(layers),
    ):
        print("".join(f"{line}\n" for line in table), end="")
    for aim in aims:
        print(f"{aim['what']}: {aim['measured']} (target: {aim['target']})")
    print(f"\nWritten: {', '.join(map(str, written))}")
    return result
