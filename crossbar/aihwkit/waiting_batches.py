"""Batches that wait for the update of devices in place, and optimizers that would leave them waiting.

The weights of such devices have no gradient: inputs and output gradients of every batch wait in aihwkit's
`AnalogContext` until one of aihwkit's optimizers hands them to the tiles. An optimizer of torch's own would step,
change nothing, and leave them there.
"""

import warnings
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from .adapter import AnalogContext, AnalogOptimizerMixin

MOST_STEPS = 20
"""Steps of other optimizers after which batches are dropped. assumed: no training alternates between optimizers in
longer turns; those of adversarial networks take five or so."""
MOST_BATCHES = 10_000
"""Batches that may wait without any optimizer. assumed: nobody adds up so many before one step."""

# Tiles with waiting batches: between how many steps of other optimizers more came, and how many waited at the last.
_WAITING: WeakKeyDictionary[nn.Module, tuple[int, int]] = WeakKeyDictionary()
_IS_WATCHING: list[Any] = []


def keep_for_update(context: AnalogContext, x: Tensor, d: Tensor) -> None:
    """Let one batch wait for the update.

    Args:
        context: Where aihwkit's optimizers look for it.
        x: Inputs, (vectors, tiles, in).
        d: Gradients of the outputs, (vectors, tiles, out).
    """
    if not _IS_WATCHING:
        _IS_WATCHING.append(register_optimizer_step_pre_hook(_before_step))
    context.analog_input.append(x)
    context.analog_grad_output.append(d)
    _WAITING.setdefault(context.analog_tile, (0, 0))
    if len(context.analog_input) > MOST_BATCHES:
        _drop(context, f"{MOST_BATCHES:,} batches have been waiting for an optimizer's step")


def _before_step(optimizer: Optimizer, arguments: Any, options: Any) -> None:
    """Look at what waits before any optimizer's step.

    Raises:
        RuntimeError: If the optimizer is to train devices in place, but cannot.
    """
    if not _WAITING:
        return
    own = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    for tile, (passed, waited) in list(_WAITING.items()):
        context = tile.analog_ctx
        assert isinstance(context, AnalogContext)
        if not context.has_gradient():
            del _WAITING[tile]
        elif id(context) in own:
            if not isinstance(optimizer, AnalogOptimizerMixin):
                kind = type(optimizer).__name__
                raise RuntimeError(
                    "`optimizer` must be one of aihwkit's for devices that are trained in place, but is torch's "
                    f"{kind}, which would leave {context.analog_tile.get_brief_info()} as it is. Use "
                    f"aihwkit.optim.AnalogSGD, or AnalogOptimizer(torch.optim.{kind}, ...)."
                )
            _WAITING[tile] = 0, 0
        elif len(context.analog_input) == waited:
            continue  # nothing new; aihwkit's optimizers also come twice, once as torch's that they are made of
        elif passed < MOST_STEPS:
            _WAITING[tile] = passed + 1, len(context.analog_input)
        else:
            _drop(context, f"{MOST_STEPS} steps of optimizers have passed without its own")


def _drop(context: AnalogContext, reason: str) -> None:
    """Let nothing wait any more, and say so."""
    tile = context.analog_tile
    context.reset()
    _WAITING.pop(tile, None)
    warnings.warn(
        f"{reason}: the batches of {tile.get_brief_info()} are dropped. Give its parameters to one of aihwkit's "
        "optimizers, or freeze it with `requires_grad_(False)`.",
        stacklevel=2,
    )
