"""How often 95 % intervals of a fitted device hold the truth: a table for docs/fit_coverage.md, by one command.

    python -m experiments.bench.fit_coverage --sets 50

Each set is twelve devices of known parameters that differ from each other, pulsed by the same code as in training and
read with noise. They are fitted by the law that they follow, each by itself as always; then they stand as single
devices (the truth is the device's own parameter; three of the twelve), as four groups of three and as one of twelve
(the truth is the mean over devices). What is done is kept, one line for each set: the command continues where it was
stopped, and more sets make the table more precise.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from devices.device_file import LAWS
from devices.fitting.device_fit import DeviceFit, fit_device
from devices.fitting.distribution import Curves, curves_of, distribution
from devices.fitting.known_devices import Scheme, known_coordinates, measure
from devices.fitting.law_fit import parameters
from devices.fitting.pulse_fit import ALL_LAWS, restrict
from devices.fitting.screening import readings_of
from devices.fitting.step_law import Coordinate, StepLaw, Values
from devices.pulsed import fabricate

_DEVICES: Final = 12
_MANY: Final = 20_000  # devices that stand for all
_SINGLES: Final = 3
_SPREADS: Final = {"dw_min_dtod": 0.1, "up_down_dtod": 0.05, "w_max_dtod": 0.05, "w_min_dtod": 0.05}
_COMMON: Final[dict[str, Any]] = {"dw_min": 0.02, "w_max": 1.0, "w_min": -1.0, "dw_min_std": 0.3, **_SPREADS}
_FINE: Final = np.linspace(1.6, 0.4, 12).tolist()
_OWN: Final[dict[str, dict[str, Any]]] = {
    "ConstantStep": {"up_down": 0.1},
    "LinearStep": {"up_down": -0.1, "gamma_up": 0.5, "gamma_down": 0.3, "gamma_up_dtod": 0.1, "gamma_down_dtod": 0.1},
    "SoftBounds": {"up_down": 0.05},
    "ExpStep": {
        "up_down": 0.0, "A_up": 0.05, "A_down": 0.8, "gamma_up": 6.0, "gamma_down": 9.0, "a": 0.244, "b": 0.2425,
    },
    "PowStep": {
        "dw_min": 0.04, "up_down": 0.1, "pow_gamma": 1.5, "pow_up_down": 0.2, "pow_gamma_dtod": 0.05,
        "pow_up_down_dtod": 0.0,
    },
    "Piecewise": {
        "up_down": 0.0, "piecewise_up": [1.6, 1.4, 1.2, 1.0, 0.7, 0.4],
        "piecewise_down": [0.4, 0.6, 0.9, 1.1, 1.4, 1.6],
    },
    "LookupTable": {
        "up_down": 0.0, "piecewise_up": np.linspace(1.6, 0.4, 8).tolist(),
        "piecewise_down": np.linspace(0.4, 1.6, 8).tolist(),
    },
    "PiecewiseStep": {"up_down": 0.0, "piecewise_up": _FINE, "piecewise_down": _FINE[::-1]},
}  # fmt: skip
SCHEME: Final = Scheme(pulses=100, cycles=2, read_noise=0.02)
Counts = dict[str, dict[str, list[int]]]


def one_set(law: StepLaw, seed: int) -> Counts:
    """Make, measure and fit one set, and count: by the size of the group and the parameter, intervals that hold the
    truth, those that are bounded, and all.

    Args:
        law: The law.
        seed: Names the set.
    """
    device = LAWS[law.file_law](**{**_COMMON, **_OWN[law.name]})
    array = fabricate(device, 1, _DEVICES, 1, seed=seed)
    traces = measure(array, SCHEME, seed=seed)
    shown = np.concatenate([np.append(trace.after, trace.before[0]) for trace in traces])
    g_min, g_max = float(shown.min()), float(shown.max())
    readings = [readings_of(trace, g_min, g_max) for trace in traces]
    fits = restrict(law, [fit_device(law, trace) for trace in readings], readings)
    curves, alone = (
        [
            curves_of(law, trace, fit, is_alone=is_alone)
            for trace, fit in zip(readings[:most], fits[:most], strict=True)
        ]
        for most, is_alone in ((_DEVICES, False), (_SINGLES, True))
    )
    span = SCHEME.g_max - SCHEME.g_min
    middle, half = (g_min + g_max - SCHEME.g_min - SCHEME.g_max) / span, (g_max - g_min) / span
    own = known_coordinates(law, array, middle, half)
    everyone = known_coordinates(law, fabricate(device, 1, _MANY, 1, seed=seed + 10**6), middle, half)
    counts: Counts = {}
    for size in (1, 3, 12):
        for start in range(0, _SINGLES if size == 1 else _DEVICES, size):
            group = slice(start, start + size)
            truth = own[:, group] if size == 1 else everyone
            known = alone if size == 1 else curves
            _count(counts.setdefault(str(size), {}), fits[group], known[group], truth, half)
    return counts


def _count(
    counts: dict[str, list[int]],
    fits: Sequence[DeviceFit],
    curves: Sequence[Curves],
    truth: Values,
    half: float,
) -> None:
    found = parameters(fits, distribution(fits, curves))
    known = [_mean(c, x) for c, x in zip(fits[0].coordinates, truth, strict=False)]
    for parameter, value in zip(found, [*known, SCHEME.read_noise / half], strict=False):
        inside = parameter.low <= value <= parameter.high
        bounded = parameter.name.endswith("noise") or bool(np.isfinite(parameter.high - parameter.low))
        tally = counts.setdefault(parameter.name, [0, 0, 0])
        for place, more in enumerate((inside, bounded, True)):
            tally[place] += int(more)


def _mean(coordinate: Coordinate, x: Values) -> float:
    """Return what is reported of a mean device."""
    return float(np.exp(x).mean()) if coordinate.kind == "log" else coordinate.shown(float(x.mean()))


def table(lines: Sequence[dict[str, Any]], *, is_whole: bool = False) -> str:
    """Return the table of shares, with their binomial standard errors and how many intervals each stands for.

    Args:
        lines: What was counted, one entry for each set.
        is_whole: Whether every parameter has a row; else those of a kind share one.
    """
    total: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(dict)
    sets: dict[str, int] = defaultdict(int)
    for line in lines:
        sets[line["law"]] += 1
        for size, counts in line["counts"].items():
            for name, tally in counts.items():
                row = total[line["law"], name if is_whole else _kind(name)]
                row[size] = [a + b for a, b in zip(row.get(size, [0, 0, 0]), tally, strict=True)]
    rows = ["| law (sets) | parameters | 1 device | 3 devices | 12 devices |", "|---|---|--:|--:|--:|"]
    for (law, name), sizes in total.items():
        cells = " | ".join(_cell(sizes.get(size)) for size in ("1", "3", "12"))
        rows.append(f"| {law} ({sets[law]}) | {name} | {cells} |")
    return "\n".join(rows)


def _kind(name: str) -> str:
    if name in ("w_max", "w_min"):
        return "bounds"
    if name == "read_noise":
        return "noise of a reading"
    return "noise of a step" if name == "noise" or "_spread_" in name else "steps, slopes, bends"


def _cell(tally: list[int] | None) -> str:
    if tally is None:
        return ""
    inside, bounded, count = tally
    part = inside / count
    # A share of 1 has an error, too: as if one half of an interval had missed.
    doubted = min(max(part, 0.5 / count), 1 - 0.5 / count)
    unbounded = "" if bounded == count else f", {count - bounded} open"
    return f"{part:.0%} ± {np.sqrt(doubted * (1 - doubted) / count):.0%} of {count}{unbounded}"


def main() -> None:
    """Count until there are as many sets as asked for, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=17, help="sets of each law (12 devices each)")
    parser.add_argument("--laws", nargs="*", default=[law.name for law in ALL_LAWS], help="which laws")
    parser.add_argument("--out", type=Path, default=Path("runs/fit_coverage.jsonl"), help="what is kept")
    parser.add_argument("--whole", action="store_true", help="a row for each parameter, not for each kind")
    asked = parser.parse_args()
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.loads(line) for line in asked.out.read_text().splitlines()] if asked.out.exists() else []
    done = {(line["law"], line["seed"]) for line in lines}
    for seed in range(asked.sets):
        for law in ALL_LAWS:
            if law.name in asked.laws and (law.name, seed) not in done:
                line = {"law": law.name, "seed": seed, "counts": one_set(law, seed)}
                lines.append(line)
                with asked.out.open("a") as file:
                    file.write(json.dumps(line) + "\n")
    order = [law.name for law in ALL_LAWS]
    lines.sort(key=lambda line: (order.index(line["law"]), line["seed"]))
    print(table(lines, is_whole=asked.whole))


if __name__ == "__main__":
    main()
