"""Soft bounds on MNIST: the tables of Wu et al., where plain SGD must fail and Tiki-Taka must not.

Cells are judged by trainings with the settings that were fixed first. Others, with a setting changed, say what may
explain a cell that differs; they change no verdict.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, final

from typing_extensions import override

from crossbar.tiles.tile_array import Backend
from devices.units import Dimensionless

from ....drawing.sections import Section, Table
from ..judgement import Pattern, Verdict
from ..tables import Key, key_of
from .device_trainings import DeviceTrainings
from .mnist_on_devices import Piece, history_of, images_of, result_of
from .piece_files import piece_file

_TRAININGS: Final = "Its trainings"
_EPOCHS: Final = "Its trainings, epoch by epoch"


@final
class SoftBounds(DeviceTrainings):
    """Networks x rules x responses x bounds x repeats."""

    table_name: ClassVar[str] = "soft-bounds"

    @override
    def pieces(self) -> dict[str, Piece]:
        return self._judged() | self._changed()

    def _judged(self) -> dict[str, Piece]:
        found = {}
        cells = sorted(self.table.cells, key=lambda cell: "power" not in dict(cell.key)["response"])
        for repeat in range(self.settings["repeats"]):
            for cell in cells[: self.settings.get("points")]:  # the shorter trainings first
                piece = self._piece(dict(cell.key), repeat)
                found[_name_of(piece)] = piece
        return found

    def _changed(self) -> dict[str, Piece]:
        """Return the trainings with another mapping than the judged ones, of which some are on real aihwkit tiles."""
        found = {}
        for entry in self.settings.get("also", ()):
            for key in entry["cells"]:
                backend = entry.get("backend", "batched")
                piece = self._piece(key, 0, backend, mapping=entry["mapping"])
                found[f"{_name_of(piece)}, {entry['words']}"] = piece
        return found

    def _piece(
        self, key: Mapping[str, Any], repeat: int, backend: Backend = "batched", **change: Any
    ) -> Piece:
        left_out = ("points", "repeats", "also")
        settings = {name: value for name, value in self.settings.items() if name not in left_out} | change
        of = {name: str(key[name]) for name in ("network", "rule", "response")}
        tau = float(key["tau"])
        content = {**of, "tau": tau, "repeat": repeat, **settings}
        if backend != "batched":
            content["backend"] = backend
        return Piece(
            network=of["network"],
            rule=of["rule"],
            response=of["response"],
            tau=tau,
            repeat=repeat,
            settings=settings,
            data_dir=self.ask.data_dir,
            file=piece_file(self.ask.runs, self.table_name, content),
            backend=backend,
        )

    @override
    def values(self) -> dict[Key, Dimensionless]:
        return {
            key: 100 * statistics.fmean(result["test_accuracy"] for _, result in finished)
            for key, finished in self._finished().items()
        }

    @override
    def remarks(self) -> dict[Key, str]:
        found = {}
        repeats = self.table.at("paper")["repeats"]
        for key, finished in self._finished().items():
            found[key] = f"{len(finished)} of {repeats} repeats, {images_of(self.settings)}"
        for piece in self._judged().values():
            history = history_of(piece)
            if history and (key := _key_of(piece)) not in found:
                last = 100 * history[-1]["test_accuracy"]
                epochs = f"{len(history)} of {self._published_epochs(piece)} epochs"
                found[key] = f"not run to the end: {last:.2f} % after {epochs}"
        return found

    @override
    def patterns(self, values: Mapping[Key, Dimensionless]) -> list[Pattern]:
        places = [("sgd", "0.6"), ("sgd", "0.8"), ("ttv1", "0.6"), ("ttv1", "0.8")]
        ladder = [
            values.get(key_of({"network": "cnn", "rule": rule, "response": "soft-bounds", "tau": float(tau)}))
            for rule, tau in places
        ]
        words = "the CNN's ladder: SGD at 0.6 below SGD at 0.8 below Tiki-Taka at either"
        known = [value for value in ladder if value is not None]
        if len(known) < len(ladder):
            return [Pattern(words=words, holds=None)]
        low, high, *others = known
        measured = ", ".join(f"{value:.2f} %" for value in known)
        return [Pattern(words=words, holds=low < high < min(others), measured=measured)]

    @override
    def more(self) -> list[Section]:
        rows, courses = [], []
        for name, piece in self.pieces().items():
            history = history_of(piece)
            if not history:
                continue
            courses.append([name, " ".join(f"{100 * entry['test_accuracy']:.2f}" for entry in history)])
            first, last = (100 * history[place]["test_accuracy"] for place in (0, -1))
            seconds = sum(entry["cpu_seconds"] for entry in history) / len(history)
            epochs = f"{len(history)} of {self._published_epochs(piece)}"
            rows.append([name, epochs, f"{first:.2f}", f"{last:.2f}", f"{seconds:.0f}"])
        if not rows:
            return []
        header = [
            "training",
            "epochs so far",
            "after the first in %",
            "after the last in %",
            "processor s an epoch",
        ]
        text = (
            "A cell is judged once all its epochs are done, and only by trainings with the settings that were fixed "
            "first: the others say in their names what is changed."
        )
        course = Table(header=["training", "test accuracy after each epoch in %"], rows=courses, align="lr")
        return [
            Section(title=_TRAININGS, text=(text,), table=Table(header=header, rows=rows, align="llrrr")),
            Section(title=_EPOCHS, table=course),
        ]

    @property
    @override
    def titles(self) -> tuple[str, ...]:
        return _TRAININGS, _EPOCHS

    @override
    def explanations(self, verdicts: Sequence[Verdict], sections: Sequence[Section]) -> dict[Key, str]:
        tables = [section.table for section in sections if section.title == _TRAININGS]
        rows = [row for table in tables if table is not None for row in table.rows]
        found = {}
        for verdict in verdicts:
            cell = "{network}, {rule}, {response}, tau {tau}, ".format(**dict(verdict.cell.key))
            of_cell = [(name.removeprefix(cell), row) for name, *row in rows if name.startswith(cell)]
            repeats = [(name, row) for name, row in of_cell if "," not in name]
            told = [(name.removeprefix("repeat 0, "), row) for name, row in of_cell if "," in name]
            told += repeats if len(repeats) > 1 else []
            said = [f"{name}: {last} % after {epochs} epochs" for name, (epochs, _, last, _) in told]
            if verdict.word == "differs" and said:
                found[verdict.cell.key] = "; ".join(said)
        return found

    def _published_epochs(self, piece: Piece) -> int:
        epochs: int = self.table.settings[piece.response.split()[0]]["epochs"]
        return epochs

    def _finished(self) -> dict[Key, list[tuple[Piece, Any]]]:
        found: dict[Key, list[tuple[Piece, Any]]] = {}
        for piece in self._judged().values():
            if piece.file.exists():
                found.setdefault(_key_of(piece), []).append((piece, result_of(piece)))
        return found


def _key_of(piece: Piece) -> Key:
    of = {"network": piece.network, "rule": piece.rule, "response": piece.response}
    return key_of({**of, "tau": piece.tau})


def _name_of(piece: Piece) -> str:
    return f"{piece.network}, {piece.rule}, {piece.response}, tau {piece.tau:g}, repeat {piece.repeat}"
