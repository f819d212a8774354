"""The option `--start-from`: a run whose learned network this one starts with; refused where that would mislead."""

from dataclasses import replace

from torch import nn

from ..networks.layers import is_analog
from ..run_folder import RunFolder
from .config import TrainConfig


def resolve_start(config: TrainConfig, model: str, network: nn.Module) -> TrainConfig:
    """Find the run that this one starts from, and check that it is of use.

    Args:
        config: What the user asked for.
        model: Name of the network.
        network: The network, placed as asked for.

    Raises:
        FileNotFoundError: If there is no such run.
        ValueError: If it is not finished, of another network, or drew its validation images otherwise.
    """
    if config.start_from is None:
        return config
    if is_analog(network):
        raise ValueError(
            f"`start_from` must be left out for {model}, but is {config.start_from}: a network that is analog as it "
            "is built keeps its own devices. Let the function load what was learned."
        )
    try:
        folder = RunFolder.existing(config.start_from, among=config.out)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(str(error).replace("`run`", "`start_from`")) from None
    if not folder.model_file.exists():
        raise ValueError(
            f"`start_from` must be a run that has been trained to its end, but {folder.path} has no "
            f"{folder.model_file.name}. Go on with it first: xbar resume {folder.path}."
        )
    before = folder.read_config()
    if before.data == config.data and (before.seed, before.fold) != (config.seed, config.fold):
        raise ValueError(
            f"`seed` and `fold` must be those of the run that is started from, {before.seed} and {before.fold}, but "
            f"are {config.seed} and {config.fold}: it has learned some of the images that this run would be "
            "validated with. Give the same."
        )
    return replace(config, start_from=str(folder.path))
