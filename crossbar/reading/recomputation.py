"""The second computation of a pass, as `torch.utils.checkpoint` makes it, draws what the first has drawn.

Checkpointing throws the values inside a network away and computes them once more on the way back. torch brings its
own random numbers back for that; ours come from streams of our own, and would go on. So where a pass may come twice
it is remembered how things stood before it, by its inputs; and a pass in the middle of a backward pass that begins
with the same inputs is taken to be its repetition. (Real aihwkit tiles cannot be told what to draw.)
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from .first_look import Mark, mark_of

State = TypeVar("State")
Kind = tuple[bool, int]

# assumed: uses of one layer between two optimizer steps, each with a checkpoint around it. The state of a generator
# takes 5 kB, and an evaluation without gradients remembers that many.
MOST_PASSES = 256


@dataclass
class _Pass:
    """A pass that may be computed again: what its inputs were, and how things stood before it."""

    inputs: tuple[Any, ...]
    before: Any
    is_repeated: bool = False


class Passes:
    """The passes of one layer that may be computed again. Copies of it know none."""

    def __init__(self) -> None:
        self._known: deque[_Pass] = deque(maxlen=MOST_PASSES)

    def forget(self) -> None:
        """Forget all of them, because the weights are others now."""
        self._known.clear()

    @contextmanager
    def around(
        self,
        x: Tensor,
        kind: Kind,
        state: Callable[[], State],
        restore: Callable[[State], object],
        mark: Mark = None,
    ) -> Iterator[None]:
        """Let a pass begin where its first computation began, if this is a second one, and else as things stand.

        Args:
            x: The inputs of the pass.
            kind: Whether the layer trains, and the version of its weights.
            state: Returns how things stand.
            restore: Makes things stand as they did.
            mark: What the inputs are known again by, where somebody has looked at them already.

        Raises:
            RuntimeError: If this may be a repetition, but too many passes came after the first computation.
        """
        if (
            torch.compiler.is_compiling()
        ):  # a compiled graph brings torch's own random numbers back, as torch does
            yield
            return
        is_in_backward = torch._C._current_graph_task_id() != -1
        is_first = not is_in_backward and _may_come_twice()
        if not is_first and not (is_in_backward and self._known):
            yield
            return
        inputs = kind, tuple(x.shape), mark_of(x) if mark is None else mark
        first = None if is_first else self._first(inputs, kind)
        if first is None:
            if is_first:
                self._known.append(_Pass(inputs, state()))
            yield
            return
        now = state()
        try:
            restore(first.before)
            yield
        finally:
            restore(now)

    def _first(self, inputs: tuple[Any, ...], kind: Kind) -> _Pass | None:
        """Return the first computation of a pass: of several with these inputs the last, as autograd goes back."""
        alike = [known for known in self._known if known.inputs == inputs]
        if not alike:
            if sum(known.inputs[0] == kind for known in self._known) == MOST_PASSES:
                raise RuntimeError(
                    f"a layer can compute one of its last {MOST_PASSES} passes again, but `torch.utils.checkpoint` "
                    "asks for an older one, whose noise is lost: put checkpoints around fewer uses of one layer"
                )
            return None
        if all(known.is_repeated for known in alike):  # a graph that is kept is gone through once more
            for known in alike:
                known.is_repeated = False
        last = [known for known in alike if not known.is_repeated][-1]
        last.is_repeated = True
        return last

    def __reduce__(self) -> tuple[type["Passes"], tuple[()]]:
        return Passes, ()


def version_of(weight: Tensor) -> int:
    """Return how often weights have been changed; those of inference mode do not tell, and never learn."""
    return 0 if torch.compiler.is_compiling() or weight.is_inference() else weight._version


def _may_come_twice() -> bool:
    """Tell whether a checkpoint may be around this pass: of torch's two kinds, one keeps no graph, one has hooks."""
    if torch.is_inference_mode_enabled():
        return False
    has_hooks = torch._C._autograd._top_saved_tensors_default_hooks(True) is not None
    return has_hooks or not torch.is_grad_enabled()
