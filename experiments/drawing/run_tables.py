"""The tables at the end of a run and of its report."""

from collections.abc import Sequence

import numpy as np

from devices.units import Dimensionless

from ..data.chance import rule_of
from ..data.objective_names import METRIC_NAMES
from ..runs.result import Result
from ..runs.watching.record import Record
from ..support.durations import format_time
from ..support.statistics import NOTHING, percent

COMPENSATION_NAMES = {
    "none": "no compensation",
    "global": "global compensation",
    "per_tile": "compensation per tile",
    "per_column": "compensation per column",
}
TRAINED = {
    "hwa": "trained hardware-aware",
    "digital": "trained digitally",
    "in-situ": "trained in situ",
    "write-verify": "trained by write-verify",
}


def table(result: Result, reference_accuracy: Dimensionless | None = None) -> str:
    """Write the accuracies as aligned plain text.

    Mean ± standard deviation over the chips, or over the readings of the one chip that was trained; a single one has
    no deviation.

    Args:
        result: The accuracies.
        reference_accuracy: Of the same network trained digitally, if there is one.
    """
    lines = [
        f"{result.model} ({result.placement}) on {result.data}, {TRAINED[result.mode]}, seed {result.seed}, "
        f"{result.test_images} test images",
        "",
    ]
    rows = [("digital, the same weights", [percent([result.digital_accuracy])])]
    if reference_accuracy is not None:
        rows.append(("digital, trained digitally", [percent([reference_accuracy])]))
    if result.has_learned_on_devices:
        rows.append((f"{result.device}, as trained", [percent(result.as_trained)]))
    columns = {name: list(zip(*chips, strict=True)) for name, chips in result.accuracy.items()}
    if columns:
        chips = len(next(iter(result.accuracy.values())))
        header = f"{chips} {result.device} {'chip' if chips == 1 else 'chips'} after"
        if result.has_learned_on_devices:
            header = "without any pulse for"
        rows += [("", []), (header, [COMPENSATION_NAMES[name] for name in columns])]
        for i, time in enumerate(result.times):
            mark = " *" if time in result.extrapolated else ""
            rows.append((f"  {format_time(time)}{mark}", [percent(column[i]) for column in columns.values()]))
    name_width = max(len(name) for name, _ in rows)
    width = max(len(cell) for _, cells in rows for cell in cells)
    lines += [
        f"{name:<{name_width}}" + "".join(f"  {cell:>{width}}" for cell in cells) for name, cells in rows
    ]
    if result.metric != "accuracy":
        lines += ["", f"All numbers: {METRIC_NAMES[result.metric]}, in % of its best."]
    if not result.did_learn:
        lines += ["", rule_of(result.metric)]
    if result.extrapolated:
        lines += ["", f"* extrapolated: beyond the times for which {result.device} was measured."]
    if result.has_learned_on_devices:
        readings = len(result.as_trained)
        lines += ["", f"One trained chip, {'read once' if readings == 1 else f'{readings} readings of it'}."]
        if not columns:
            lines[-1] += f" No accuracy over time: {result.device} has no model of drift."
    if result.yields:
        lines += [
            "",
            f"Faults: {result.faults}; {percent(result.yields)} of the devices work.",
        ]
    if result.wires:
        lines += ["", f"Wires in ohm: {result.wires}."]
    if result.copies:
        lines += ["", f"Copies of one kernel differ, rms (most): {_copies(result)}."]
    return "\n".join(line.rstrip() for line in lines)


def _copies(result: Result) -> str:
    """Write how far copies differ in each layer, at the first and the last of the times."""
    layers = []
    for layer, looks in result.copies.items():
        ends = [looks[0], looks[-1]] if len(looks) > 1 else looks
        told = [
            f"{100 * look['rms']:.2g} % ({100 * look['largest']:.2g} %) "
            + ("as trained" if look["time"] is None else f"after {format_time(look['time'])}")
            for look in ends
        ]
        layers.append(f"{layer} {', '.join(told)}")
    return "; ".join(layers)


def dynamics_table(record: Record) -> str:
    """Write what a record says about each layer as aligned plain text.

    The updates: medians over the recorded steps. The devices: as the last recorded step left them.
    """
    header = ["layer", "tiles", "cosine", "gain", "at bound", "pulses: mean", "most"]
    rows = [header]
    for layer in record.layers:
        for number, role in enumerate(record.roles(layer)):
            pulses = [
                f"{record.of_layer(layer, f'{role}/pulses_mean')[-1]:.3g}",
                str(int(record.columns[f"{layer}/{role}/pulses_max"][-1].max())),
            ]
            if number:
                rows.append([f"  {role}", *[""] * 4, *pulses])
                continue
            name = layer if role == "main" else f"{layer}, {role}"
            rows.append(
                [
                    name,
                    str(len(record.columns[f"{layer}/devices"])),
                    _median(record.of_layer(layer, "cosine")),
                    _median(record.of_layer(layer, "gain")),
                    f"{100 * record.of_layer(layer, 'at_bound')[-1]:.1f} %",
                    *pulses,
                ]
            )
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )


def _median(values: Sequence[Dimensionless] | np.ndarray) -> str:
    known = np.asarray(values)[np.isfinite(values)]
    return f"{np.median(known):.3f}" if len(known) else NOTHING
