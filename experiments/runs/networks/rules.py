"""Defaults for networks that nobody has tried before: by a rule from the network and the number of examples.

    batch size     64, or the largest power of two that leaves 16 steps in an epoch, but 8 at least
    epochs         those that make 1,500 steps; 4 at least, 60 at most
    learning rate  Adam's: 0.1 / sqrt(n), n being the largest number of inputs of an output of a layer; between 5e-4
                   and 5e-3. A fifth of it where the network has attention. In situ and by write-verify, plain SGD:
                   200 times that.

What the rates come from: networks that were tuned by trial have n = 512 and 5e-3, n = 2,048 and 4e-3 (rule: 4.4e-3,
2.2e-3), and plain SGD through devices wants 200 to 300 times Adam's rate (`learning_rates`). assumed for all else; it
is a start, and no substitute for trying.
"""

import math
from dataclasses import dataclass
from typing import Final, final

from torch import nn

from crossbar.layers.locally_connected import LocallyConnected
from devices.units import Dimensionless

from ...data.datasets import Facts

_BATCH: Final = 64
_SMALLEST_BATCH: Final = 8
_STEPS_OF_AN_EPOCH: Final = 16
_STEPS: Final = 1500
_EPOCHS: Final = (4, 60)
_RATE: Final[Dimensionless] = 0.1
_RATES: Final[tuple[Dimensionless, Dimensionless]] = (5e-4, 5e-3)
_OF_ATTENTION: Final[Dimensionless] = 0.2
SGD_TO_ADAM: Final[Dimensionless] = 200.0
_TABLES: Final = (nn.Embedding, nn.EmbeddingBag)


@final
@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the rules give for a network and its data.

    Attributes:
        batch_size: Images per step.
        epochs: Passes through the training images.
        adam: Learning rate of Adam.
        inputs: The largest number of inputs of an output of a layer.
        has_attention: Whether the rate is that of a network with attention.
    """

    batch_size: int
    epochs: int
    adam: Dimensionless
    inputs: int
    has_attention: bool

    @classmethod
    def of(cls, network: nn.Module, facts: Facts, batch_size: int | None = None) -> "Rules":
        """Apply the rules.

        Args:
            network: The digital network.
            facts: What is known of its data.
            batch_size: That which was asked for, if one was.
        """
        images = facts.images or _BATCH * _STEPS_OF_AN_EPOCH
        room = max(_SMALLEST_BATCH, 2 ** int(math.log2(max(images // _STEPS_OF_AN_EPOCH, 1))))
        size = batch_size or min(_BATCH, room)
        steps = math.ceil(images / size)
        inputs = largest_number_of_inputs(network)
        attends = any("Attention" in type(module).__name__ for module in network.modules())
        adam = _RATE / math.sqrt(inputs) * (_OF_ATTENTION if attends else 1.0)
        return cls(
            batch_size=size,
            epochs=min(max(_EPOCHS[0], round(_STEPS / steps)), _EPOCHS[1]),
            adam=float(f"{min(max(_RATES[0], adam), _RATES[1]):.2g}"),
            inputs=inputs,
            has_attention=attends,
        )

    def sentences(self, *, epochs: int, batch_size: int, lr: Dimensionless, uses_sgd: bool) -> list[str]:
        """Say which of the values of a run are these rules', and how they came about.

        Args:
            epochs: Of the run.
            batch_size: Of the run.
            lr: Of the run.
            uses_sgd: Whether it learns by plain SGD, on devices.
        """
        found = []
        if batch_size == self.batch_size:
            found.append(
                f"batch size {batch_size} ({_BATCH}, or less so that an epoch has {_STEPS_OF_AN_EPOCH} steps)"
            )
        if epochs == self.epochs:
            found.append(f"{epochs} epochs (some {_STEPS:,} steps, {_EPOCHS[0]} to {_EPOCHS[1]} epochs)")
        rate = self.adam * (SGD_TO_ADAM if uses_sgd else 1.0)
        if math.isclose(lr, rate):
            how = f"{_RATE:g} / sqrt({self.inputs}), the most inputs of an output of a layer"
            how += ", a fifth of it for attention" if self.has_attention else ""
            how += f", {SGD_TO_ADAM:g} times that for plain SGD" if uses_sgd else ""
            found.append(f"learning rate {lr:g} ({how}; {_RATES[0]:g} to {_RATES[1]:g} for Adam)")
        return found


def largest_number_of_inputs(network: nn.Module) -> int:
    """Return the largest number of inputs that an output of a layer has; 1 without such layers."""
    largest = 1
    for module in network.modules():
        if isinstance(module, _TABLES):
            continue
        for parameter in module.parameters(recurse=False):
            if parameter.dim() > 1:
                one = (
                    parameter[0, 0]
                    if isinstance(module, LocallyConnected) and parameter.dim() > 2
                    else parameter[0]
                )
                largest = max(largest, one.numel())
    return largest
