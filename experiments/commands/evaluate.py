"""`xbar evaluate`: program what a run has trained onto other chips or tiles, or look at other times."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from torch import nn

from crossbar import load_model, record_events, tile_arrays
from crossbar.cost.packing import PackingMode, parse_packing
from crossbar.cost.tables import aligned
from crossbar.layer_patterns import by_layer

from ..data.datasets import DataSplit, Facts
from ..drawing.figures import draw_accuracy_over_time
from ..drawing.run_tables import table
from ..runs.evaluation import evaluate
from ..runs.ledger_file import RunEvents
from ..runs.options.config import NO_DEVICE, TrainConfig
from ..runs.options.defaults import resolve
from ..runs.options.device_names import label
from ..runs.options.fault_options import canonical
from ..runs.options.own_networks import wished_network
from ..runs.options.sharing_options import resolve_sharing
from ..runs.options.wire_options import canonical_wires
from ..runs.run import Run
from ..runs.run_data import images_of, refuse_too_many
from ..runs.run_folder import RunFolder
from ..runs.run_network import make_model
from ..runs.team.memory import use_memory
from ..runs.team.threads import use_threads
from ..support.answer import Answer
from ..support.interruption import Interruption
from ..support.json_files import write_json
from ..support.options.idle_options import refuse_given, refuse_moved_digits
from .config import EvaluateConfig
from .run_bill import RunBill, has_profile, no_price
from .train import print_paths


@final
@dataclass(frozen=True, kw_only=True)
class AskedEvaluation:
    """What is evaluated, and where its numbers lie.

    Attributes:
        folder: The trained run.
        trained: How it was trained.
        asked: The same with what was asked for.
        placement: Another placement of its kernels, or None.
        placed: As asked, with the placement.
        data: The images.
    """

    folder: RunFolder
    trained: Run
    asked: Run
    placement: str | None
    placed: Run
    data: DataSplit

    @classmethod
    def of(cls, config: EvaluateConfig) -> "AskedEvaluation":
        """Find out what is asked for.

        Raises:
            ValueError: If the run is not trained yet or damaged, or the wishes do not fit.
            FileNotFoundError: If the run or its data are missing.
        """
        folder = RunFolder.existing(config.run)
        trained = folder.read_config()
        folder.admit_own_files(trust=config.trust)
        if not folder.model_file.exists():
            raise ValueError(
                f"`run` must be trained, but {folder.path} has no model.safetensors yet. "
                f"Finish it with `xbar resume {folder.path}`."
            )
        _refuse_to_rebuild(config, trained)
        _refuse_idle(config, trained)
        if config.packing != "none" and not has_profile(config.device or trained.device):
            raise no_price(config.device or trained.device, config.packing)
        wish = _wish(config, trained)
        data = images_of(wish)
        refuse_too_many(config, data)
        asked = resolve(wish, data.facts)
        placement = None if config.placement == trained.placement else config.placement
        placed = asked if placement is None else _placed_anew(asked, placement, data.facts)
        return cls(folder=folder, trained=trained, asked=asked, placement=placement, placed=placed, data=data)

    @property
    def name(self) -> str:
        """What its files are called, after "evaluation-" and "ledger-"."""
        identity = json.dumps(self.placed.identity(), sort_keys=True)
        digest = hashlib.blake2b(identity.encode(), digest_size=4).hexdigest()
        return f"{label(self.asked.device)}-{digest}"

    @property
    def numbers(self) -> Path:
        """The accuracies."""
        return self.folder.path / f"evaluation-{self.name}.json"

    @property
    def ledger(self) -> Path:
        """What happened in the hardware."""
        return self.folder.path / f"ledger-{self.name}.json"


def run_evaluate(config: EvaluateConfig) -> Answer:
    """Program a finished run's network onto other chips or other tiles, and write that result beside the run's own.

    Returns:
        The file of the accuracies.

    Raises:
        ValueError: If the run is not trained yet or damaged, or the wishes do not fit.
        FileNotFoundError: If the run or its data are missing.
        RunInterrupted: If the user stopped it.
    """
    evaluation = AskedEvaluation.of(config)
    folder, trained, asked = evaluation.folder, evaluation.trained, evaluation.asked
    data, figure = evaluation.data, evaluation.numbers.with_suffix(".png")
    use_threads(asked.threads)
    with folder.lock(), use_memory(asked.memory), Interruption("the same command") as interruption:
        folder.check_origin()
        if asked.test_images == trained.test_images:
            folder.check_data(data.fingerprint())
        # What training keeps of its wires is in the file.
        as_trained = replace(asked, wires=trained.wires, wires_every=trained.wires_every)
        model = load_model(folder.model_file, make_model(as_trained, facts=data.facts)).eval()
        for _, array in tile_arrays(model):
            if asked.wires_of_arrays != trained.wires_of_arrays:
                array.use_wires(asked.wires_of_arrays)
        if config.packing != "none":
            _refuse_packing(config.packing, model)
        result, events = evaluate(asked, model, data, interruption, placement=evaluation.placement)
        RunEvents(None, events).write(evaluation.ledger)
        if result.times:
            draw_accuracy_over_time(result, figure)
        write_json(evaluation.numbers, result.to_json())
    print(f"\n{table(result)}\n")
    bill = RunBill.of(RunEvents(None, events), evaluation.placed, config.packing)
    if bill is not None:
        print(_priced(bill))
    print_paths(evaluation.numbers, evaluation.ledger, figure)
    return evaluation.numbers


def _wish(config: EvaluateConfig, trained: Run) -> TrainConfig:
    """Return the run as it was asked for, with what is asked for now."""
    wishes = {
        name: getattr(config, name)
        for name in (
            "device",
            "faults",
            "wires",
            "chips",
            "compensation",
            "test_images",
            "data_dir",
            "threads",
            "times",
            "memory",
        )
        if getattr(config, name) is not None
    }
    if config.wires is not None and canonical_wires(config.wires) is None:
        wishes["wires_every"] = None
    if config.device not in (None, trained.device) and config.times is None:
        wishes["times"] = None  # those at which the other device was measured
    return replace(trained.as_wish(), **wishes)


def _refuse_packing(packing: str, model: nn.Module) -> None:
    """Refuse, before anything is computed, patterns that fit no layer."""
    with record_events(model) as layers:
        pass
    unpacked: PackingMode = "none"
    by_layer(parse_packing(packing), list(layers.layers), argument="packing", otherwise=unpacked)


def _priced(bill: RunBill) -> str:
    """Write what a chip and an image cost as aligned plain text."""
    table = bill.table()
    lines = [f"priced by {bill.profile.name}, packing {bill.packing}, all arrays on while the network works"]
    notes = dict.fromkeys(note for one in bill.bills.values() for note in one.notes)
    return "\n".join([*lines, aligned([table.header, *table.rows]), *notes, ""])


def _refuse_idle(config: EvaluateConfig, trained: Run) -> None:
    """Refuse what would change nothing: chips where none is programmed, a folder of images that lie elsewhere."""
    refuse_moved_digits(config.data_dir, trained.data)
    if (config.device or trained.device) == NO_DEVICE:
        reason = "nothing is programmed. Name a --device"
        refuse_given(config, ("chips", "times", "compensation", "packing"), "with --device none", reason)


def _refuse_to_rebuild(config: EvaluateConfig, trained: Run) -> None:
    """Refuse to give a network other devices or tiles than those that it has learned on."""
    if not trained.learns_on_devices:
        return
    for name, have, what in (
        ("device", trained.device, "on the other device"),
        ("placement", trained.placement, "with the other placement"),
    ):
        wish = getattr(config, name)
        if wish not in (None, have):
            raise ValueError(
                f"`{name}` must be left out, but is {wish!r}: this network has learned on the devices of one "
                f"{trained.device} chip, and they cannot be exchanged. Train {what} with `xbar train`."
            )
    if config.faults is not None and canonical(config.faults) != trained.faults:
        raise ValueError(
            f"`faults` must be left out, but is {config.faults!r}: this network has learned on one {trained.device} "
            "chip, with its faults or without. Train with other ones, `xbar train --faults`."
        )
    if config.wires is not None and canonical_wires(config.wires) is not None:
        raise ValueError(
            f"`wires` must be left out, but is {config.wires!r}: what pulses have trained has no unit of "
            "conductance. Evaluate a run with --mode hwa or digital."
        )


def _placed_anew(asked: Run, placement: str, facts: Facts) -> Run:
    """Return the run of a trained network on other tiles.

    Raises:
        ValueError: If there is no such placement, or nothing is put on tiles.
    """
    if asked.times is None:
        raise ValueError(
            f"`placement` must be left out with --device {asked.device}, but is {placement!r}: nothing is put on "
            "tiles. Name a --device."
        )
    # Penalties belong to the training, which is over.
    over = replace(asked.as_wish(), soft_sharing=0.0, sleep_every=0, sleep_factor=None, write_tolerance=None)
    network = wished_network(over, asked.model, placement, facts)
    resolve_sharing(over, placement, network)
    return replace(asked, placement=placement)
