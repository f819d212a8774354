"""The start of a training in one process or several: what each of them does of it, said on the screen."""

import torch
from torch import nn

from crossbar import spread_tiles
from crossbar.distributed import communication
from crossbar.layers.recurrent.unrolled import ModularRNN

from ..networks.first_network import is_own
from ..run import Run
from .steps import Steps, StepsOfImages, WholeSteps


def begin_steps(run: Run, model: nn.Module, optimizer: torch.optim.Optimizer, images: int) -> Steps:
    """Spread a training over the processes that work together, if there are several; all call it together.

    Args:
        run: The run.
        model: Its network, with the weights that it goes on from; changed in place.
        optimizer: That of its parameters.
        images: How many it is trained on.

    Raises:
        ValueError: If the network cannot be spread, or a batch has too few images for all processes.
    """
    number = communication.processes()
    if number == 1:
        return WholeSteps(model, optimizer)
    communication.wait_for_all()  # until all have read the checkpoint
    if run.spread == "images":
        _refuse_few(run, images, number)
        by_images = StepsOfImages(model)
        others = (
            f" Other draws of the same law: {'; '.join(draws)}."
            if (draws := _other_draws(run, model))
            else ""
        )
        _say(
            f"{number} processes, by images: each computes its part of every batch, and all learn from all of it; "
            f"numbers are those of one process but for the last digits of sums.{others}"
        )
        return by_images
    names = spread_tiles(model, optimizer)
    _say(
        f"{number} processes, by tiles: each holds those of its locations, of {', '.join(names)}; all else is "
        "computed in each of them."
    )
    return WholeSteps(model, optimizer)


def _other_draws(run: Run, model: nn.Module) -> list[str]:
    """Name what is no part of one image only, or is drawn by nobody who knows of images."""
    draws = []
    if any(isinstance(module, ModularRNN) for module in model.modules()):
        draws.append("the noise of recurrent layers, which read all steps of a batch one after the other")
    if is_own(run.model):
        draws.append("what the network draws itself, such as dropout")
    return draws


def _refuse_few(run: Run, images: int, processes: int) -> None:
    last = images % run.batch_size
    if 0 < last < processes:
        raise ValueError(
            f"`batch_size` must leave an image for each of {processes} processes in the last batch of an epoch, but "
            f"with {run.batch_size} of {images} images it has {last}. Choose another --batch-size, --train-images, "
            "or number of processes."
        )


def _say(sentence: str) -> None:
    if communication.rank() == 0:
        print(sentence, flush=True)
