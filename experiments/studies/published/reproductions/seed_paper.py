"""The seed paper's tables: networks with and without shared kernels, trained on augmented images.

A published value is a median over folds and epochs together, and so is a computed one. The training accuracy is that
on augmented images in the course of the epoch, as is usual; the paper does not say.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, final

from typing_extensions import override

from devices.units import Dimensionless, Seconds

from ....commands.train import run_train
from ....drawing.sections import Section, Table
from ....runs.options.config import NO_DEVICE, TrainConfig
from ....runs.options.defaults import resolve
from ....runs.run_folder import RunFolder
from ..judgement import Pattern, Verdict
from ..kept_studies import MEASURES, key_at
from ..tables import Key
from .reproduction import Reproduction
from .seed_paper_sharing import DISTANCES_TITLE, claims, distances

# The augmentations of tables B.1 to B.3.
_OTHERS: Final = ("rotation", "noise", "edge_noise")
_SHAPE: Final = (1, 28, 28)
_MISSING: Final = "What the missing epochs change"
# Part of the epochs after which the running median is shown.
_PARTS: Final = (0.1, 0.25, 0.5, 1.0)


@final
class SeedPaper(Reproduction):
    """MNIST: augmentations x strengths x networks x folds. CIFAR-10 is left to `xbar train --data cifar10`."""

    table_name: ClassVar[str] = "seed-paper"

    @property
    @override
    def work(self) -> Callable[[TrainConfig], object]:
        return run_train

    @override
    def pieces(self) -> dict[str, TrainConfig]:
        found = {}
        points = [
            (augmentation, strength)
            for augmentation in self.settings["augmentations"]
            for strength in self.settings["strengths"]
        ]
        others = self.settings.get("others", ())
        points += [(kind, strength) for kind in _OTHERS for strength in others]
        for fold in range(self.settings["folds"]):
            for augmentation, strength in points:
                for network in ("fcn", "cnn"):
                    name = f"{network}, {augmentation} {strength:g}, fold {fold}"
                    found[name] = self._wish(augmentation, strength, network, fold)
        return found

    @override
    def is_done(self, piece: TrainConfig) -> bool:
        return _folder(piece).result_file.exists()

    @override
    def values(self) -> dict[Key, Dimensionless]:
        found = {}
        for point, histories in self._finished().items():
            for measure, name in MEASURES.items():
                value = statistics.median(entry[name] for history in histories for entry in history)
                found[key_at(*point, measure)] = 100 * value
        return found

    @override
    def patterns(self, values: Mapping[Key, Dimensionless]) -> list[Pattern]:
        def at(network: str, strength: Dimensionless, measure: str) -> Dimensionless | None:
            return values.get(key_at("translation", strength, network, measure))

        found = []
        for network in ("fcn", "cnn"):
            ladder = [at(network, strength, "translation") for strength in (0.0, 0.1, 0.2)]
            known = [value for value in ladder if value is not None]
            words = (
                f"{network.upper()}: shifts in training raise the accuracy on shifted images, 0 to 0.1 to 0.2"
            )
            holds = known == sorted(known) if len(known) == len(ladder) else None
            measured = ", ".join(f"{value:.1f} %" for value in known) if holds is not None else ""
            found.append(Pattern(words=words, holds=holds, measured=measured))
        return found

    @override
    def told(self, sections: Sequence[Section]) -> list[Pattern]:
        return claims(sections)

    @override
    def same(self) -> dict[Key, Key]:
        """Return for the augmentations of strength zero, which change no image, the training without shifts."""
        return {
            key_at(kind, 0.0, network, "plain"): key_at("translation", 0.0, network, "plain")
            for kind in _OTHERS
            for network in ("fcn", "cnn")
        }

    @override
    def remarks(self) -> dict[Key, str]:
        others = [cell.key for cell in self.table.cells if dict(cell.key)["data"] != "mnist"]
        found: dict[Key, str] = dict.fromkeys(others, "not run: only MNIST is computed")
        for point, histories in self._finished().items():
            lengths, folds = [len(history) for history in histories], len(histories)
            published = self.table.settings
            if min(lengths) < published["epochs"] or folds < published["folds"]:
                epochs = " and ".join(map(str, sorted(set(lengths))))
                said = f"{epochs} of {published['epochs']} epochs, {folds} of {published['folds']} folds"
                found |= {key_at(*point, measure): said for measure in MEASURES}
        return found

    @override
    def more(self) -> list[Section]:
        rows = []
        for (augmentation, strength, network), histories in self._finished().items():
            longest = max(len(history) for history in histories)
            for measure, name in MEASURES.items():
                medians = []
                for part in _PARTS:
                    until = max(round(part * longest), 1)
                    pooled = [entry[name] for history in histories for entry in history[:until]]
                    medians.append(f"{100 * statistics.median(pooled):.2f} ({until})")
                last = statistics.fmean(history[-1][name] for history in histories)
                rows.append([augmentation, f"{strength:g}", network, measure, *medians, f"{100 * last:.2f}"])
        if not rows:
            return []
        header = ["augmentation", "strength", "network", "measure"]
        header += [*(f"{part:.0%} of the epochs" for part in _PARTS), "last epoch"]
        text = (
            f"Median over folds and the first epochs, in %, and how many epochs; the paper trained up to "
            f"{self.table.settings['epochs']}."
        )
        table = Table(header=header, rows=rows, align="llll" + "r" * (len(_PARTS) + 1))
        return [Section(title=_MISSING, text=(text,), table=table), *distances(self._finished())]

    @property
    @override
    def titles(self) -> tuple[str, ...]:
        return _MISSING, DISTANCES_TITLE

    @override
    def explanations(self, verdicts: Sequence[Verdict], sections: Sequence[Section]) -> dict[Key, str]:
        tables = [section.table for section in sections if section.title == _MISSING]
        rows = [row for table in tables if table is not None for row in table.rows]
        by_key = {
            key_at(augmentation, float(strength), network, measure): rest
            for augmentation, strength, network, measure, *rest in rows
        }
        return {
            verdict.cell.key: "medians over (epochs): {}, {}, {}; last epoch {}".format(
                *by_key[verdict.cell.key][-4:]
            )
            for verdict in verdicts
            if verdict.word == "differs" and "folds" in verdict.remark and verdict.cell.key in by_key
        }

    @override
    def seconds(self) -> Seconds:
        """Return the time that epochs took by the clock, in s: runs note no other."""
        histories = [history for found in self._finished().values() for history in found]
        return math.fsum(entry["seconds"] for history in histories for entry in history)

    def _wish(self, augmentation: str, strength: Dimensionless, network: str, fold: int) -> TrainConfig:
        folds = self.table.settings["folds"]
        return TrainConfig(
            data="mnist",
            data_dir=self.ask.data_dir,
            train_images=self.settings.get("train_images"),
            test_images=self.settings.get("test_images"),
            fold=f"{fold + 1}/{folds}",
            augment=augmentation.replace("_", "-") if strength else "none",  # type: ignore[arg-type]
            strength=strength,
            scores=True,
            model=f"{network}_mnist",
            mode="digital",
            device=NO_DEVICE,
            epochs=self.settings["epochs"],
            batch_size=self.settings["batch"],
            lr=self.settings["lr"],
            schedule="constant",
            seed=fold,
            threads=self.ask.threads,
            out=self.ask.runs,
        )

    def _finished(self) -> dict[tuple[str, Dimensionless, str], Sequence[Any]]:
        """Return the logs by point; at laptop scale also those of runs that are not finished, as far as they go."""
        found: dict[tuple[str, Dimensionless, str], list[Any]] = {}
        for name, wish in self.pieces().items():
            folder = _folder(wish)
            history = self._history(folder)
            if history:
                network, kind, _ = name.split(", ")
                augmentation = kind.split()[0]
                found.setdefault((augmentation, wish.strength, network), []).append(history)
        return found  # type: ignore[return-value]

    def _history(self, folder: RunFolder) -> list[dict[str, float]]:
        if folder.result_file.exists():
            return folder.read_log()
        # The learning rate is constant, so that epochs do not depend on how many follow.
        is_told = self.ask.scale == "laptop" and folder.log_file.exists()
        return folder.read_log(is_finished=False) if is_told else []


def _folder(wish: TrainConfig) -> RunFolder:
    return RunFolder.of(resolve(wish, _SHAPE))
