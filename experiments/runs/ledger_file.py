"""The events of a run on the disk: ledger.json, with what training, programming and inference made happen."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, Final, Literal, final

from torch import nn

from crossbar import EventLedger, record_events
from crossbar.network.event_recording import enter_wear

from ..support.json_files import read_json, write_json

_FORMAT: Final = "crossbar-emulator ledger 2"
_EARLIER: Final = "crossbar-emulator ledger 1"
_OF_EARLIER: Final = (
    "counted by an earlier version: refreshes of full pairs stand among updates and writes, repeated products of a "
    "batch are as many steps of time as those of its busiest tile. Repeat the run to have both counted better."
)


@final
@dataclass
class EvaluationEvents:
    """What an evaluation made happen, each kind once: all others of its kind are alike.

    Attributes:
        programming: Writing one chip, and what drift compensation reads of it then. Of a network that has learned on
            its devices only the reading, as nothing is written.
        inference: One pass through the test images.
    """

    programming: EventLedger | None = None
    inference: EventLedger | None = None

    @contextmanager
    def first(self, kind: Literal["programming", "inference"], model: nn.Module) -> Iterator[None]:
        """Record the block if it is the first one of its kind.

        Args:
            kind: The attribute to fill.
            model: What is programmed, or infers.
        """
        if getattr(self, kind) is not None:
            yield
            return
        with record_events(model, is_batched=True) as ledger:
            yield
        setattr(self, kind, ledger)

    def close(self, model: nn.Module) -> None:
        """Let what did not happen be a ledger of zeros, so that files always have the same parts."""
        for kind in ("programming", "inference"):
            with self.first(kind, model):
                pass


@final
class TrainingEvents:
    """Adds up what the steps of a training make happen, also over interruptions.

    Args:
        model: What is trained; its devices, if it has any, count their pulses from the start of the training on.
        earlier: What `to_json` returned when the training was interrupted; empty at the start.
    """

    def __init__(self, model: nn.Module, earlier: dict[str, Any]) -> None:
        self._model = model
        self._done = [EventLedger.from_json(earlier)] if earlier else []
        self._open = ExitStack()
        self._is_open = False

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record the steps of the block; not after an error, of which other processes may know nothing."""
        self._start()
        yield
        self._stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Record nothing of the block, although it lies within a recording."""
        self._stop()
        try:
            yield
        finally:
            self._start()

    def _start(self) -> None:
        self._now = self._open.enter_context(record_events(self._model, is_batched=True))
        self._is_open = True

    def _stop(self) -> None:
        self._open.close()
        self._is_open = False
        self._done = [reduce(add, [*self._done, self._now])]
        enter_wear(self._done[0], self._model)

    def total(self) -> EventLedger:
        """Return the events of all steps; there has been one, or the training goes on from another."""
        if self._is_open:
            # A ledger is complete once its recording has ended.
            self._stop()
            self._start()
        return self._done[0]

    def to_json(self) -> dict[str, Any]:
        """Return the events of all steps in the types of JSON."""
        return self.total().to_json()


@final
@dataclass(frozen=True)
class RunEvents:
    """All events of a run.

    Attributes:
        training: Of all steps, or None for a network that was trained before, in another run.
        evaluation: Of programming and inference; None before the evaluation is done.
    """

    training: EventLedger | None
    evaluation: EvaluationEvents | None = None

    def of_training(self) -> EventLedger:
        """Return the events of all steps.

        Raises:
            ValueError: If the network was trained before, in another run.
        """
        if self.training is None:
            raise ValueError(
                "`run` must hold the events of its training, but its ledger.json has none. Repeat it with --force."
            )
        return self.training

    def write(self, path: Path) -> None:
        """Write all parts to a JSON file, atomically; a part that is not known is null."""
        evaluation = self.evaluation or EvaluationEvents()
        parts = {
            "training": self.training,
            "programming": evaluation.programming,
            "inference": evaluation.inference,
        }
        content: dict[str, Any] = {"format": _FORMAT}
        content.update({name: None if part is None else part.to_json() for name, part in parts.items()})
        write_json(path, content)

    @classmethod
    def read(cls, path: Path) -> "RunEvents":
        """Read what `write` has written.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is damaged, or something else.
        """
        content = read_json(path)
        if not isinstance(content, dict) or content.get("format") not in (_FORMAT, _EARLIER):
            raise ValueError(
                f"`run` must hold a ledger.json of events, but {path} is something else, or of a later version. "
                "Repeat the run with --force."
            )
        try:
            if content.keys() != {"format", "training", "programming", "inference"}:
                raise ValueError("it has other keys")
            parts = {
                name: None if content[name] is None else EventLedger.from_json(content[name])
                for name in ("training", "programming", "inference")
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"`run` must hold an undamaged ledger.json, but {path} is damaged ({error}). "
                "Repeat the run with --force."
            ) from None
        for part in parts.values():
            if part is not None and content["format"] == _EARLIER:
                part.notes = (_OF_EARLIER,)
        return cls(parts["training"], EvaluationEvents(parts["programming"], parts["inference"]))
