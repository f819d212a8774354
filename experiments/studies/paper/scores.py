"""Train one network of `xbar paper`, and score its chips: six validation sets, and how alike kernels are."""

from typing import Any, Final, TypedDict

from torch import nn

from crossbar import age_chip, load_model, program_chip, seed_noise
from devices import derive_seed, get
from devices.units import Dimensionless, Seconds

from ...commands.train import run_train
from ...data.augmentation import IMAGES_ON_HARDWARE, validation_sets
from ...data.datasets import DataSplit, Images
from ...runs.emergent_sharing import sharing_of
from ...runs.networks.first_network import initial_network
from ...runs.options.config import NO_DEVICE, TrainConfig
from ...runs.options.defaults import resolve
from ...runs.run import Run
from ...runs.run_data import images_of
from ...runs.run_folder import RunFolder
from ...runs.run_network import make_model
from ...runs.training import loss_and_accuracy
from ...runs.training_on_devices import ages
from ...support.durations import parse_times
from ...support.interruption import Interruption
from ...support.json_files import read_json, write_json
from ...support.typed_values import typed
from .points import TIMES

FILE: Final = "paper.json"
# Of the training images and of the validation images, to compare them: 0.2 points of standard error each at 98 %.
_IMAGES_OF_FIT: Final = 5000

Sharing = dict[str, dict[str, Dimensionless]]


class Look(TypedDict):
    """A chip at a time: None as trained."""

    time: Seconds | None
    scores: dict[str, Dimensionless]
    sharing: Sharing


class Scores(TypedDict):
    """What paper.json holds."""

    start: Sharing
    trained: Sharing
    fit: dict[str, Dimensionless]
    chips: list[list[Look]]


def train_and_score(wish: TrainConfig) -> None:
    """Train a network if it is not trained yet, and score its chips if they are not.

    Raises:
        ValueError: If the wish cannot be met.
        RunInterrupted: If the user stopped it.
    """
    data = images_of(wish)
    config = resolve(wish, data.image_shape)
    folder = RunFolder.of(config)
    if not folder.result_file.exists():
        run_train(wish)
    if (folder.path / FILE).exists():
        return
    with folder.lock(), Interruption("the same command") as interruption:
        found = _score(config, folder, data, interruption)
        write_json(folder.path / FILE, found)


def scores_of_chips(folder: RunFolder) -> Any:
    """Return what `train_and_score` has found of the chips of a run.

    Raises:
        FileNotFoundError: If it was not called.
        ValueError: If the file is damaged.
    """
    path = folder.path / FILE
    content = read_json(path)
    try:
        typed(Scores, content)
    except ValueError as error:
        raise ValueError(
            f"`run` must hold undamaged scores, but {path} is damaged: {error}. Delete it, and repeat the command."
        ) from None
    return content


def _score(config: Run, folder: RunFolder, data: DataSplit, interruption: Interruption) -> dict[str, Any]:
    model = load_model(folder.model_file, make_model(config)).eval()
    found: dict[str, Any] = {
        "start": sharing_of(initial_network(config)),
        "trained": sharing_of(model),
    }
    if config.device == NO_DEVICE:
        return found | {"fit": _fit(model, config, data), "chips": []}
    sets = validation_sets(data.validation.first(IMAGES_ON_HARDWARE), config.seed)
    device = get(config.device)
    is_in_situ = config.mode == "in-situ"
    chips: list[list[dict[str, Any]]] = [[] for _ in range(config.chips)]
    if is_in_situ:  # all readings of it, before the first one lets it age
        for chip, looks in enumerate(chips):
            looks.append({"time": None, **_look(model, config, sets, chip, "as trained")})
        found["fit"] = _fit(model, config, data)
    for chip, looks in enumerate(chips):
        if not is_in_situ or ages(device):
            # What has learned in situ is one chip: it ages alike in all readings.
            seed = derive_seed(config.seed, "chip", 0 if is_in_situ else chip)
            program_chip(model, device.noise_model(), seed=seed, compensation="global")
            for time in parse_times(TIMES):
                if device.valid_at(time):
                    age_chip(model, time, seed=derive_seed(config.seed, "chip", chip))
                    looks.append({"time": time, **_look(model, config, sets, chip, repr(time))})
                    if "fit" not in found:  # of the first chip, fresh
                        found["fit"] = _fit(model, config, data)
                interruption.stop_if_requested()
    return found | {"chips": chips}


def _fit(model: nn.Module, config: Run, data: DataSplit) -> dict[str, Dimensionless]:
    """Classify images that the network was trained on, untransformed, and as many that it was not."""
    found: dict[str, Dimensionless] = {}
    for name, images in (("training", data.train), ("validation", data.validation)):
        seed_noise(model, config.seed, "paper", "fit", name)
        found[name] = loss_and_accuracy(model, images.first(_IMAGES_OF_FIT))[1]
    return found


def _look(model: nn.Module, config: Run, sets: dict[str, Images], chip: int, when: str) -> dict[str, Any]:
    scores: dict[str, Dimensionless] = {}
    for name, images in sets.items():
        seed_noise(model, config.seed, "paper", chip, when, name)
        scores[name] = loss_and_accuracy(model, images)[1]
    return {"scores": scores, "sharing": sharing_of(model)}
