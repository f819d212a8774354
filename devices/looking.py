"""Whether a decision may hang on the values of a tensor."""

import torch
from torch import Tensor


def may_look(*values: Tensor) -> bool:
    """Tell whether looking at values is free.

    On the CPU it is, and saves work: nothing is done for what no value asks for. On a GPU the host would wait until
    all is computed that came before, and in a graph that `torch.compile` makes there is nothing to look at yet: there
    everything is done that any value could ask for, with the same result.
    """
    return all(one.device.type in ("cpu", "meta") for one in values) and not torch.compiler.is_compiling()
