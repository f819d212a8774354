"""The run folder of a network that was trained elsewhere, so that every command about a run can go on with it."""

from dataclasses import replace
from pathlib import Path

from torch import nn

from crossbar import save_model

from ..data.datasets import DataSplit
from ..runs.evaluation import calibrate
from ..runs.ledger_file import RunEvents
from ..runs.networks.first_network import first_network
from ..runs.networks.layers import is_analog
from ..runs.options.config import TrainConfig
from ..runs.options.defaults import resolve
from ..runs.run import Run
from ..runs.run_data import images_of
from ..runs.run_folder import RunFolder
from ..runs.run_network import put_on_tiles
from ..runs.training import loss_and_accuracy
from ..support.environment import describe_environment


def folder_of_trained(wish: TrainConfig) -> tuple[TrainConfig, RunFolder]:
    """Make the folder of a run whose training is over before it began; one that exists is left as it is.

    Its log has one line: loss and accuracy of the network as it was handed over.

    Args:
        wish: The run: the network by the name under which it was handed over, its data, the device. With --mode hwa a
            digital network is put onto tiles that choose their input ranges from training images.

    Returns:
        The wish as the run has it, and the folder.

    Raises:
        ValueError: If the network does not fit the data or the wish.
    """
    data = images_of(wish)
    run = resolve(replace(wish, epochs=1), data.facts)
    folder = RunFolder.of(run)
    with folder.lock():
        if folder.model_file.exists():
            return run.as_wish(), folder
        network = first_network(run, data.facts).eval()
        history = [_line(network, data)]
        if run.mode == "hwa" and not is_analog(network):
            network = calibrate(put_on_tiles(network, run, 0.0), run, data.train)
        _write(folder, run, network, data, history)
    return run.as_wish(), folder


def _line(network: nn.Module, data: DataSplit) -> dict[str, float]:
    loss, accuracy = loss_and_accuracy(network, data.train)
    validation_loss, validation_accuracy = loss_and_accuracy(network, data.validation)
    return {
        "epoch": 1,
        "loss": loss,
        "accuracy": accuracy,
        "validation_loss": validation_loss,
        "validation_accuracy": validation_accuracy,
        "seconds": 0.0,
    }


def _write(
    folder: RunFolder, run: Run, network: nn.Module, data: DataSplit, history: list[dict[str, float]]
) -> None:
    environment = {**describe_environment(run.threads), "data": data.fingerprint()}
    folder.start(run, {**environment, "trained": "elsewhere, before it was handed over"})
    folder.write_log(history)
    RunEvents(None).write(folder.ledger_file)
    save_model(network, folder.model_file)


def files_in(folder: Path) -> list[Path]:
    """Return what people read of a run or a study: tables, figures, pages and numbers."""
    endings = (".md", ".csv", ".html", ".json", ".jsonl", ".png")
    return sorted(
        path for path in folder.iterdir() if path.suffix in endings and path.name != "manifest.json"
    )
