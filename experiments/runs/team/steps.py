"""What one of several processes does of every step of a training: all images on its tiles, or its part of them."""

from collections.abc import Callable
from typing import Final, final

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from crossbar import gather_images, gather_tiles, own_images, spread_images
from crossbar.distributed import communication
from devices.units import Dimensionless

from ...data.datasets import Images

# Torch's own name for what is not averaged; `spread_images` names devices there.
_IN_PLACE: Final = "_ddp_params_and_buffers_to_ignore"

Numbers = tuple[float, Dimensionless]


@final
class WholeSteps:
    """All images: of a process alone, or of one that holds the tiles of its locations.

    Attributes:
        model: The network.
        outputs: What computes its outputs in a step.
        names: What the draws of the network's own layers are named by, beside the step.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.names: tuple[str | int, ...] = ()
        self.model, self.outputs, self._optimizer = model, model, optimizer

    def own(self, batch: Images) -> Images:
        """Return the images of a batch that this process computes."""
        return batch

    def mean_of_all(self, loss: Tensor) -> Tensor:
        """Return what to take the gradient of, so that it is that of the mean over the whole batch."""
        return loss

    def of_all(self, loss: float, score: Dimensionless) -> Numbers:
        """Return the mean of the loss and the sum of the score over the whole batch."""
        return loss, score

    def measured(self, measure: Callable[[], Numbers]) -> Numbers:
        """Return what a measurement gives, whoever makes it."""
        return measure()

    def end(self) -> None:
        """Let every process have the whole trained model."""
        gather_tiles(self.model, self._optimizer)


@final
class StepsOfImages:
    """A contiguous part of every batch; torch's `DistributedDataParallel` averages gradients.

    Parts may be unequal: the loss of each process counts by its number of images.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = spread_images(model)
        self.outputs = self._averaged(model)
        self.names: tuple[str | int, ...] = ("process", communication.rank())
        self._part: Dimensionless = 1.0
        self._is_checked = False

    @staticmethod
    def _averaged(model: nn.Module) -> nn.Module:
        in_place = set(getattr(model, _IN_PLACE, ()))
        trained = {n for n, p in model.named_parameters() if p.requires_grad} - in_place
        # Torch refuses to average where there is nothing to average.
        return DistributedDataParallel(model, broadcast_buffers=False) if trained else model

    def own(self, batch: Images) -> Images:
        """Return the part of this process, and let the layers know how large the batch is."""
        images = own_images(self.model, len(batch))
        self._part = (images.stop - images.start) / len(batch)
        return batch.select(images)

    def mean_of_all(self, loss: Tensor) -> Tensor:
        """Return the loss times what makes the average over processes the mean over images."""
        return loss * (self._part * communication.processes())

    def of_all(self, loss: float, score: Dimensionless) -> Numbers:
        """Add up what all processes say."""
        self._check_gradients()
        losses, scores = communication.sums([loss * self._part, float(score)])
        return losses, type(score)(scores)

    def measured(self, measure: Callable[[], Numbers]) -> Numbers:
        """Let the first process measure, and tell the others."""
        numbers = measure() if communication.rank() == 0 else (0.0, 0.0)
        loss, score = communication.from_first(list(numbers))
        return loss, score

    def end(self) -> None:
        """Let every process compute all images again."""
        gather_images(self.model)

    def _check_gradients(self) -> None:
        """Refuse weights without a gradient, for which torch would wait."""
        if self._is_checked or self.outputs is self.model:
            return
        self._is_checked = True
        in_place = set(getattr(self.model, _IN_PLACE, ()))
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad and parameter.grad is None and name not in in_place:
                raise ValueError(
                    f"`model` must use all its weights in every step where processes share the images, but {name!r} "
                    "got no gradient. Remove it, let it not require one, or use one process."
                )


Steps = WholeSteps | StepsOfImages
"""The part of one process."""
