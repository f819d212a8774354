"""Smaller anchors: aihwkit's own LeNet, learning MNIST by pulses; the others are not computed."""

import math
from collections.abc import Callable
from typing import ClassVar, Final, final

from typing_extensions import override

from devices.units import Dimensionless, Seconds

from ....drawing.sections import Section, Table
from ..tables import Key, key_of
from .mnist_on_devices import Piece, history_of, train_piece
from .piece_files import piece_file
from .reproduction import Reproduction

_LENET: Final = "aihwkit's LeNet, ConstantStep"
_TITLE: Final = "aihwkit's LeNet, epoch by epoch"


@final
class Anchors(Reproduction):
    """One training."""

    table_name: ClassVar[str] = "anchors"

    @property
    @override
    def work(self) -> Callable[[Piece], object]:
        return train_piece

    @override
    def pieces(self) -> dict[str, Piece]:
        settings = self.settings
        piece = Piece(
            network="lenet",
            rule="sgd",
            response="constant-step",
            tau=1.0,
            repeat=0,
            settings=settings,
            data_dir=self.ask.data_dir,
            file=piece_file(self.ask.runs, self.table_name, {"network": "lenet", **settings}),
        )
        return {"lenet, constant steps": piece}

    @override
    def is_done(self, piece: Piece) -> bool:
        return piece.file.exists()

    @override
    def values(self) -> dict[Key, Dimensionless]:
        errors = [100 * (1 - entry["test_accuracy"]) for entry in self._history()]
        after = {1: "test error after the first epoch", 30: "test error after 30 epochs"}
        return {
            key_of({"of": _LENET, "what": what}): errors[epochs - 1]
            for epochs, what in after.items()
            if len(errors) >= epochs
        }

    @override
    def remarks(self) -> dict[Key, str]:
        return dict.fromkeys(
            self.values(), "54,000 of the 60,000 training images, one seed, construction of our own"
        )

    @override
    def more(self) -> list[Section]:
        rows = [
            [f"{entry['epoch']:.0f}", f"{100 * (1 - entry['test_accuracy']):.2f}"]
            for entry in self._history()
        ]
        if not rows:
            return []
        return [Section(title=_TITLE, table=Table(header=["epochs", "test error, %"], rows=rows, align="rr"))]

    @property
    @override
    def titles(self) -> tuple[str, ...]:
        return (_TITLE,)

    @override
    def seconds(self) -> Seconds:
        return math.fsum(entry["cpu_seconds"] for entry in self._history())

    def _history(self) -> list[dict[str, float]]:
        (piece,) = self.pieces().values()
        return history_of(piece)
