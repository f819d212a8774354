"""The table at the end of a run."""

from devices.units import Dimensionless

from .durations import format_time
from .evaluation import Result

COMPENSATION_NAMES = {
    "none": "no compensation",
    "global": "global compensation",
    "per_tile": "compensation per tile",
    "per_column": "compensation per column",
}
TRAINED = {"hwa": "trained hardware-aware", "digital": "trained digitally"}


def table(result: Result, reference_accuracy: Dimensionless | None = None) -> str:
    """Write the accuracies as aligned plain text.

    Mean ± standard deviation over the chips; one chip has no deviation.

    Args:
        result: The accuracies.
        reference_accuracy: Of the same network trained digitally, if there is one.
    """
    lines = [
        f"{result.model} ({result.placement}) on {result.data}, {TRAINED[result.mode]}, seed {result.seed}, "
        f"{result.test_images} test images",
        "",
    ]
    rows = [("digital, the same weights", [_mean_and_std(result.digital_accuracy, None)])]
    if reference_accuracy is not None:
        rows.append(("digital, trained digitally", [_mean_and_std(reference_accuracy, None)]))
    columns = {name: result.mean_and_std(name) for name in result.accuracy}
    if columns:
        chips = len(next(iter(result.accuracy.values())))
        header = f"{chips} {result.device} {'chip' if chips == 1 else 'chips'} after"
        rows += [("", []), (header, [COMPENSATION_NAMES[name] for name in columns])]
        for i, time in enumerate(result.times):
            rows.append(
                (f"  {format_time(time)}", [_mean_and_std(*column[i]) for column in columns.values()])
            )
    name_width = max(len(name) for name, _ in rows)
    width = max(len(cell) for _, cells in rows for cell in cells)
    lines += [
        f"{name:<{name_width}}" + "".join(f"  {cell:>{width}}" for cell in cells) for name, cells in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def _mean_and_std(mean: float, std: float | None) -> str:
    return f"{100 * mean:.1f} %" if std is None else f"{100 * mean:.1f} ± {100 * std:.1f} %"
