"""Learning rules against the error of the reference: LeNet on MNIST, the second figure of Rasch et al. (2024)."""

from collections.abc import Mapping
from typing import ClassVar, Final, final

from typing_extensions import override

from devices.units import Dimensionless

from ....drawing.sections import Section, Table
from ..judgement import Pattern
from ..tables import Key, key_of
from .device_trainings import DeviceTrainings
from .mnist_on_devices import Piece, history_of, images_of
from .piece_files import piece_file

_COURSE: Final = "LeNet with a wrong reference, epoch by epoch"
_RULES: Final = ("agad", "chopped-ttv2", "ttv2")


@final
class LeNetRules(DeviceTrainings):
    """Learning rules x errors of the reference, one seed and construction."""

    table_name: ClassVar[str] = "learning-rules-lenet"

    @override
    def pieces(self) -> dict[str, Piece]:
        return {
            f"lenet, {rule}, sigma_r {sigma:g}": self._piece(rule, sigma)
            for sigma in sorted(self.settings["sigmas"], key=lambda sigma: sigma not in (0.0, 1.0))
            for rule in _RULES
        }

    def _piece(self, rule: str, sigma: Dimensionless) -> Piece:
        settings = {name: value for name, value in self.settings.items() if name != "sigmas"}
        content = {"rule": rule, "sigma_r": sigma, **settings}
        return Piece(
            network="lenet",
            rule=rule,
            response=f"reference {sigma:g}",
            tau=1.0,
            repeat=0,
            settings=settings,
            data_dir=self.ask.data_dir,
            file=piece_file(self.ask.runs, self.table_name, content),
        )

    @override
    def values(self) -> dict[Key, Dimensionless]:
        return {
            key_of({"rule": piece.rule, "sigma_r": _sigma_of(piece)}): _errors(piece)[-1]
            for piece in self.pieces().values()
            if self.is_done(piece)
        }

    @override
    def remarks(self) -> dict[Key, str]:
        found = {}
        for piece in self.pieces().values():
            history, key = history_of(piece), key_of({"rule": piece.rule, "sigma_r": _sigma_of(piece)})
            if self.is_done(piece):
                found[key] = f"{images_of(self.settings)}, one seed"
            elif history:
                epochs = f"{len(history)} of {self.table.settings['epochs']} epochs"
                found[key] = f"not run to the end: {_errors(piece)[-1]:.2f} % after {epochs}"
        return found

    @override
    def patterns(self, values: Mapping[Key, Dimensionless]) -> list[Pattern]:
        def at(rule: str, sigma: Dimensionless) -> Dimensionless | None:
            return values.get(key_of({"rule": rule, "sigma_r": sigma}))

        claims = {
            "LeNet, sigma_r = 1: AGAD errs less than Tiki-Taka v2": (at("agad", 1.0), at("ttv2", 1.0)),
            "LeNet, sigma_r = 1: chopped Tiki-Taka v2 errs less than Tiki-Taka v2": (
                at("chopped-ttv2", 1.0),
                at("ttv2", 1.0),
            ),
            "LeNet: Tiki-Taka v2 errs less without an error of the reference": (
                at("ttv2", 0.0),
                at("ttv2", 1.0),
            ),
        }
        found = []
        for words, (small, large) in claims.items():
            if small is None or large is None:
                found.append(Pattern(words=words, holds=None))
            else:
                measured = f"{small:.3g} % and {large:.3g} %"
                found.append(Pattern(words=words, holds=small < large, measured=measured))
        return found

    @override
    def more(self) -> list[Section]:
        rows = []
        for name, piece in self.pieces().items():
            history = history_of(piece)
            if history:
                seconds = sum(entry["cpu_seconds"] for entry in history) / len(history)
                course = " ".join(f"{error:.2f}" for error in _errors(piece))
                rows.append([name, course, f"{history[-1]['loss']:.3g}", f"{seconds:.0f}"])
        if not rows:
            return []
        header = ["training", "test error after each epoch in %", "last loss", "processor s an epoch"]
        return [Section(title=_COURSE, table=Table(header=header, rows=rows, align="lrrr"))]

    @property
    @override
    def titles(self) -> tuple[str, ...]:
        return (_COURSE,)


def _sigma_of(piece: Piece) -> Dimensionless:
    return float(piece.response.split()[1])


def _errors(piece: Piece) -> list[Dimensionless]:
    return [100 * (1 - entry["test_accuracy"]) for entry in history_of(piece)]
