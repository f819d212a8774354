"""What outlives a call is made of ordinary tensors, also if the call came in torch's inference mode."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def lasting(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Run a function outside of inference mode and without gradients.

    For whatever makes or replaces a layer's state: a tensor that is made in inference mode can be neither changed nor
    trained outside of it, so that a network converted or programmed there would be of no use afterwards.
    """

    @functools.wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        if torch.is_inference_mode_enabled():
            with torch.inference_mode(False), torch.no_grad():
                return function(*args, **kwargs)
        # Entering a context takes as long as half of what is done in a small layer.
        if not torch.is_grad_enabled():
            return function(*args, **kwargs)
        with torch.no_grad():
            return function(*args, **kwargs)

    return call
