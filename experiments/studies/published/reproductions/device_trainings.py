"""What all tables have in common whose pieces are networks that learn MNIST by pulses."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from typing_extensions import override

from devices.units import Seconds

from .mnist_on_devices import Piece, history_of, train_piece
from .reproduction import Reproduction


class DeviceTrainings(Reproduction):
    """A reproduction whose pieces are trainings of `mnist_on_devices`."""

    @property
    @override
    def work(self) -> Callable[[Piece], object]:
        return train_piece

    @override
    def is_done(self, piece: Piece) -> bool:
        return piece.file.exists()

    @override
    def seconds(self) -> Seconds:
        pieces: Mapping[str, Any] = self.pieces()
        return math.fsum(entry["cpu_seconds"] for piece in pieces.values() for entry in history_of(piece))
