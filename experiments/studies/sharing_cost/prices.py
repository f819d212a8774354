"""Turn a run folder into a row of the study: read what came out, and price its ledgers of events."""

import math
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

from crossbar import EventLedger, HardwareProfile, price
from crossbar.cost.packing import parse_packing
from crossbar.cost.pricing import Bill
from crossbar.cost.static_power import StaticPower

from ...runs.ledger_file import RunEvents
from ...runs.options.config import LEARNS_ON_DEVICES
from ...runs.result import Result
from ...runs.run_folder import RunFolder
from ...runs.watching.curve import read_curve
from ...runs.watching.record import Record
from ...support.json_files import read_json
from .config import SharingCostPlan
from .points import Point
from .rows import FRESH, Costs, Row, Space
from .to_accuracy.curve import PricedCurve, priced_curve

_SHARING_COLUMNS: Final = ("copies_rms", "copies_largest", "weight_snr")


def row_of(
    point: Point, command: str, folder: RunFolder, profile: HardwareProfile, config: SharingCostPlan
) -> Row:
    """Read and price a finished run.

    Args:
        point: Which run it is.
        command: The line that repeats it.
        folder: Where it lies.
        profile: What events cost.
        config: How kernels are packed.

    Raises:
        ValueError: If the run is not finished or damaged, or has no ledger.
        FileNotFoundError: If a file is missing.
    """
    if not folder.result_file.exists():
        raise ValueError(
            f"`run` must be finished, but {folder.path} has no result.json yet. "
            f"Finish it with `xbar resume {folder.path}`."
        )
    trained = folder.read_config()
    result = Result.from_json(read_json(folder.result_file))
    history = folder.read_log()
    return Row(
        device=point.device,
        mechanism=point.mechanism,
        scheme=point.scheme,
        seed=point.seed,
        run=str(folder.path),
        command=command,
        lr=trained.lr,
        epochs=len(history),
        validation_accuracy=history[-1]["validation_accuracy"],
        accuracy=_accuracies(result),
        residual=_residual(result, "rms", statistics.fmean),
        largest_residual=_residual(result, "largest", max),
        dynamics=_dynamics(folder.record_file) if trained.record_every else {},
        did_learn=result.did_learn,
        metric=result.metric,
        **_prices(folder, profile, config),
    )


def row_of_run(folder: RunFolder, profile: HardwareProfile, config: SharingCostPlan) -> Row:
    """Read and price a single run, whatever it was started for; errors as those of `row_of`."""
    trained = folder.read_config()
    point = Point(trained.device, trained.mode, trained.placement, trained.seed)
    return row_of(point, f"xbar resume {folder.path}", folder, profile, config)


def price_again(row: Row, folder: RunFolder, profile: HardwareProfile, config: SharingCostPlan) -> Row:
    """Return a row with other prices, and all else as it was.

    Args:
        row: The row.
        folder: Where the run lies now.
        profile: What events cost now.
        config: How kernels are packed now.
    """
    did_learn = Result.from_json(read_json(folder.result_file)).did_learn
    return replace(row, run=str(folder.path), did_learn=did_learn, **_prices(folder, profile, config))


def ledgers_of(folder: RunFolder) -> tuple[EventLedger | None, EventLedger, EventLedger]:
    """Return what training on the chip, programming and inference made happen; no training for one in software.

    Raises:
        ValueError: If the run has no ledger of its evaluation.
        FileNotFoundError: If the run has no ledger.
    """
    events = RunEvents.read(folder.ledger_file)
    evaluation = events.evaluation
    if evaluation is None or evaluation.programming is None or evaluation.inference is None:
        raise ValueError(
            f"`run` must hold the events of its evaluation, but {folder.ledger_file} lacks them. "
            "Repeat the run with --force."
        )
    learns_on_chip = folder.read_config().mode in LEARNS_ON_DEVICES
    return events.training if learns_on_chip else None, evaluation.programming, evaluation.inference


def _prices(folder: RunFolder, profile: HardwareProfile, config: SharingCostPlan) -> dict[str, Any]:
    """Return those fields of a row that depend on the profile."""
    training, programming, inference = ledgers_of(folder)
    step = None if training is None else bill_of(training, profile, config)
    image = bill_of(inference, profile, config)
    packed = replace(config, packing=config.packed)
    packed_image = bill_of(inference, profile, packed)
    packed_step = None if training is None else bill_of(training, profile, packed)
    is_programmed = programming.total("written_cells") + programming.total("programming_pulses") > 0
    return {
        "profile": profile.name,
        "inference": _costs(image, inference.images),
        "training": None if step is None or training is None else _costs(step, training.steps),
        "programming": _costs(bill_of(programming, profile, config), 1) if is_programmed else None,
        "unpacked": _space(image, config.packing),
        "packed": _space(packed_image, config.packed),
        "packed_inference": _costs(packed_image, inference.images),
        "packed_training": None
        if packed_step is None or training is None
        else _costs(packed_step, training.steps),
        "pulses_per_step": None if step is None else step.pulses_per_step,
        "steps_to_end_of_life": None if step is None else step.steps_to_end_of_life,
        "wear": _wear(step),
        "curve": _curve(folder, profile, config),
        "notes": list(
            dict.fromkeys(note for bill in (step, image) if bill is not None for note in bill.notes)
        ),
    }


def _curve(folder: RunFolder, profile: HardwareProfile, config: SharingCostPlan) -> PricedCurve | None:
    """Price what every measurement of a training took until then; None if the run keeps none."""
    if not folder.curve_file.exists():
        return None
    return priced_curve(read_curve(folder.curve_file), lambda ledger: bill_of(ledger, profile, config))


def _wear(step: Bill | None) -> dict[str, float]:
    """Return the pulses of the most stressed device of each layer in a training step."""
    if step is None or not step.steps:
        return {}
    return {
        name: layer.pulses / step.steps for name, layer in step.layers.items() if layer.packing is not None
    }


def bill_of(ledger: EventLedger, profile: HardwareProfile, config: SharingCostPlan) -> Bill:
    """Price a ledger as the study packs its arrays."""
    static = StaticPower(
        scope=config.static_scope, frame_rate=config.frame_rate, duty_cycle=config.duty_cycle
    )
    return price(
        ledger,
        profile,
        packing=parse_packing(config.packing),
        off_block=config.off_block,
        static=static,
        aligned=config.aligned,
        network=config.network,
    )


def _costs(bill: Bill, number: int) -> Costs:
    """Share a bill among so many images or steps."""
    return Costs(
        energy_uJ={name: energy / number for name, energy in bill.energy_by_component().items()},
        analog_uJ=bill.analog_only / number,
        sequential_s=bill.sequential / number,
        pipelined_s=bill.pipelined / number,
        refresh_uJ=bill.energy(phase="refresh") / number,
    )


def _space(bill: Bill, packing: str) -> Space:
    return Space(packing=packing, arrays=bill.arrays, area_mm2=bill.area * 1e-6, utilisation=bill.utilisation)


def _accuracies(result: Result) -> dict[str, float]:
    """Return mean accuracies, with drift compensation where there is one; by time, and fresh."""
    accuracy: dict[str, float] = {}
    if result.as_trained:
        accuracy[FRESH] = statistics.fmean(result.as_trained)
    if result.times:
        compensation = next((name for name in result.accuracy if name != "none"), "none")
        means = [mean for mean, _ in result.mean_and_std(compensation)]
        accuracy.setdefault(FRESH, means[0])
        accuracy |= {str(float(time)): mean for time, mean in zip(result.times, means, strict=True)}
    return accuracy


def _residual(
    result: Result, quantity: Literal["rms", "largest"], over_layers: Callable[[list[float]], float]
) -> dict[str, float]:
    """Return how far copies differ, over the layers that have copies; by time, and fresh."""
    by_time: dict[str, list[float]] = {}
    for entries in result.copies.values():
        for entry in entries:
            time = FRESH if entry["time"] is None else str(float(entry["time"]))
            value = entry[quantity]
            if value is not None and math.isfinite(value):
                by_time.setdefault(time, []).append(value)
    residual = {time: over_layers(values) for time, values in by_time.items()}
    if residual and FRESH not in residual:
        residual[FRESH] = residual[min(residual, key=float)]
    return residual


def _dynamics(path: Path) -> dict[str, list[float | None]]:
    """Return how equal kernels were over the training, mean over the layers; None where that is not a number."""
    record = Record.read(path)
    columns: dict[str, list[float | None]] = {"step": [float(step) for step in record.steps]}
    for name in _SHARING_COLUMNS:
        layers = [record.of_layer(layer, name) for layer in record.layers_with(name)]
        if layers:
            means = [float(sum(values)) / len(layers) for values in zip(*layers, strict=True)]
            columns[name] = [value if math.isfinite(value) else None for value in means]
    return columns
