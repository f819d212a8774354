"""Smaller anchors: aihwkit's own LeNet, learning MNIST by pulses; the others are not computed.

One training is judged. Others of the same length say why it differs from what is published: on real aihwkit tiles,
with another seed, with what the script of the printed output had and the table's settings lack.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, final

from typing_extensions import override

from devices.units import Dimensionless

from ....drawing.sections import Section, Table
from ..judgement import Verdict
from ..tables import Key, key_of
from .device_trainings import DeviceTrainings
from .mnist_on_devices import Piece, history_of, images_of
from .piece_files import piece_file

_LENET: Final = "aihwkit's LeNet, ConstantStep"
_FIRST: Final = "test error after the first epoch"
_WHY_NOT: Final = {
    "mixed precision on PCM, MNIST": "not run: the paper's settings were not obtained",
    "ResNet-32 on CIFAR-10, PCM": "not run: CIFAR-10 was not at hand",
}
_JUDGED: Final = "lenet, constant steps"
_AS_JUDGED: Final = "as judged"
_TITLE: Final = "aihwkit's LeNet, epoch by epoch"
_TESTED: Final = "aihwkit's LeNet: what may explain its first epoch"


@final
class Anchors(DeviceTrainings):
    """A training that is judged, and others that are compared with it."""

    table_name: ClassVar[str] = "anchors"

    @override
    def pieces(self) -> dict[str, Piece]:
        found = {_JUDGED: self._piece({})}
        for entry in self.settings.get("also", ()):
            change = {name: value for name, value in entry.items() if name != "words"}
            found[f"lenet, {entry['words']}"] = self._piece(change)
        return found

    def _piece(self, change: Mapping[str, Any]) -> Piece:
        settings = {name: value for name, value in self.settings.items() if name != "also"}
        settings |= {name: value for name, value in change.items() if name not in ("backend", "repeat")}
        content = {"network": "lenet", **self.settings, **change}
        content.pop("also", None)
        return Piece(
            network="lenet",
            rule="sgd",
            response="constant-step",
            tau=1.0,
            repeat=change.get("repeat", 0),
            settings=settings,
            data_dir=self.ask.data_dir,
            file=piece_file(self.ask.runs, self.table_name, content),
            backend=change.get("backend", "batched"),
        )

    @override
    def values(self) -> dict[Key, Dimensionless]:
        errors = [100 * (1 - entry["test_accuracy"]) for entry in self._history()]
        after = {1: _FIRST, 30: "test error after 30 epochs"}
        return {
            key_of({"of": _LENET, "what": what}): errors[epochs - 1]
            for epochs, what in after.items()
            if len(errors) >= epochs
        }

    @override
    def remarks(self) -> dict[Key, str]:
        said = f"{images_of(self.settings)}, one seed, construction of our own"
        others = {cell.key: _WHY_NOT.get(dict(cell.key)["of"], "") for cell in self.table.cells}
        return {key: reason for key, reason in others.items() if reason} | dict.fromkeys(self.values(), said)

    @override
    def more(self) -> list[Section]:
        rows = [
            [f"{entry['epoch']:.0f}", f"{100 * (1 - entry['test_accuracy']):.2f}"]
            for entry in self._history()
        ]
        found = []
        if rows:
            table = Table(header=["epochs", "test error, %"], rows=rows, align="rr")
            found.append(Section(title=_TITLE, table=table))
        return found + self._tested()

    def _tested(self) -> list[Section]:
        """Compare the first epoch of all trainings, if there are more than the judged one."""
        rows = []
        for name, piece in self.pieces().items():
            history = history_of(piece)
            if history:
                words = _AS_JUDGED if name == _JUDGED else name.removeprefix("lenet, ")
                error = f"{100 * (1 - history[0]['test_accuracy']):.2f}"
                rows.append([words, error, f"{history[0]['cpu_seconds']:.0f}"])
        if all(words == _AS_JUDGED for words, *_ in rows):
            return []
        header = ["training", "test error after the first epoch in %", "processor s"]
        text = "Each differs from the judged training in what its name says; none is judged."
        return [Section(title=_TESTED, text=(text,), table=Table(header=header, rows=rows, align="lrr"))]

    @property
    @override
    def titles(self) -> tuple[str, ...]:
        return _TITLE, _TESTED

    @override
    def explanations(self, verdicts: Sequence[Verdict], sections: Sequence[Section]) -> dict[Key, str]:
        tables = [section.table for section in sections if section.title == _TESTED]
        rows = [row for table in tables if table is not None for row in table.rows]
        said = "; ".join(f"{words}: {error} %" for words, error, _ in rows if words != _AS_JUDGED)
        key = key_of({"of": _LENET, "what": _FIRST})
        differs = any(verdict.cell.key == key and verdict.word == "differs" for verdict in verdicts)
        return {key: said} if differs and said else {}

    def _history(self) -> list[dict[str, float]]:
        return history_of(self.pieces()[_JUDGED])
