"""`xbar share`: kernels learn apart, are made one, and learn on; against one tile from the start."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Final, final

from typing_extensions import override

from crossbar import load_model, load_profile, price
from crossbar.cost.pricing import Bill
from devices.units import Dimensionless

from ...data.chance import RULE
from ...data.datasets import DataSplit
from ...data.examples import Facts, Shape, facts_of
from ...drawing.sections import Picture, Section
from ...runs.emergent_sharing import sharing_of
from ...runs.ledger_file import RunEvents
from ...runs.networks.first_network import initial_network, take_off_tiles
from ...runs.networks.start_from import take_weights
from ...runs.options.config import LEARNS_ON_DEVICES, NO_DEVICE, Mode, TrainConfig
from ...runs.options.defaults import resolve
from ...runs.options.profile_of_device import profile_of, tile_size_in
from ...runs.rates.tuned import with_found_rate
from ...runs.result import Result
from ...runs.run_data import images_of
from ...runs.run_folder import RunFolder
from ...runs.run_network import make_model
from ...runs.training import loss_and_accuracy
from ...support.answer import Answer
from ...support.json_files import read_json
from ...support.parallel import do_all
from ..options import line_of
from ..results import numbers_file
from ..study import Findings, Study, family_of, run_study, within
from .config import ShareConfig, SharePlan, Start
from .figure import draw
from .rows import Point, Row
from .table import bill_of_sharing, gain_of_retraining, table

NAME: Final = "share"
TITLE: Final = "Kernels that learned apart, made one afterwards"
FIGURE: Final = "share.png"


@final
class Share(Study[Point, Row]):
    """Modes x shifts x (one tile, apart, one afterwards) x seeds.

    Args:
        config: What is done.
    """

    name = NAME

    config: SharePlan

    @property
    @override
    def command(self) -> str:
        return line_of(NAME, self.config, ShareConfig().resolved())

    @override
    def points(self) -> list[Point]:
        return [point for stage in self._stages() for point in stage]

    def _stages(self) -> list[list[Point]]:
        """Return all runs, those first that others start from."""
        config = self.config
        stages: list[dict[Point, None]] = [{}, {}, {}]
        for seed, mode, shift in product(config.seeds, config.modes, config.shifts):
            one_tile = (*((1,) if "together" in config.starts else ()), config.epochs, *config.retrain)
            for epochs in one_tile:
                stages[0][Point(mode, shift, "one tile", None, epochs, seed)] = None
            for start in config.starts:
                stages[1][self._apart(mode, shift, start, seed)] = None
                for epochs in config.retrain:
                    stages[2][Point(mode, shift, "one afterwards", start, epochs, seed)] = None
        return [list(stage) for stage in stages]

    def _apart(self, mode: Mode, shift: Dimensionless, start: Start, seed: int) -> Point:
        epochs = self.config.epochs - (start == "together")
        return Point(mode, shift, "apart", start, epochs, seed)

    @override
    def prepare(self, data: DataSplit) -> None:
        """Train what others start from; they cannot be planned before."""
        config, stages = self.config, self._stages()
        total = sum(map(len, stages))
        done = 0
        for stage in stages[:-1]:
            wishes = {point: within(config.memory, self.wish(point, data.facts)) for point in stage}
            todo = {
                point.name: wish
                for point, wish in wishes.items()
                if not self.is_done(RunFolder.of(resolve(wish, data.facts)))
            }
            done += len(stage)
            failed = do_all(
                self.work,
                todo,
                total=total,
                finished=done - len(todo),
                jobs=config.jobs,
                threads=config.threads,
                folder=config.runs,
                dask=config.dask,
            )
            if failed:
                raise ValueError(next(iter(failed.values())))

    @override
    def wish(self, point: Point, known: Facts | Shape) -> TrainConfig:
        config, family = self.config, family_of(known, self.config.data)
        is_apart = point.kind == "apart"
        wish = TrainConfig(
            data=config.data,
            data_dir=config.data_dir,
            download=config.download,
            train_images=config.train_images,
            test_images=config.test_images,
            augment="translation" if point.shift else "none",
            strength=point.shift,
            model=f"fcn_{family}" if is_apart else f"cnn_{family}",
            start_from=self._start_of(point, known),
            mode=point.mode,
            device={"digital": NO_DEVICE, "hwa": config.programmed}.get(point.mode, config.learning),
            times="1s" if point.mode == "hwa" else None,
            tile_size=tile_size_in(load_profile(profile_of(config.learning)))
            if point.mode in LEARNS_ON_DEVICES
            else None,
            soft_sharing=(config.soft_sharing or 0.0) if is_apart else 0.0,
            epochs=point.epochs,
            lr=config.lr,
            tuned=config.tuned,
            seed=point.seed,
            chips=1 if point.mode in LEARNS_ON_DEVICES else 3,
            threads=config.threads,
            out=config.runs,
        )
        return wish if config.tuned is None else with_found_rate(wish, resolve(wish, facts_of(known)))

    def _start_of(self, point: Point, known: Facts | Shape) -> str | None:
        """Return the folder of the run that one starts from; None if its weights are drawn."""
        if point.kind == "one afterwards":
            assert point.start is not None
            before = self._apart(point.mode, point.shift, point.start, point.seed)
        elif point.start == "together":
            before = Point(point.mode, point.shift, "one tile", None, 1, point.seed)
        else:
            return None
        return str(RunFolder.of(resolve(self.wish(before, known), known)).path)

    @override
    def row(self, point: Point, command: str, folder: RunFolder) -> Row:
        result = Result.from_json(read_json(folder.result_file))
        bill = _bill(folder, self.config.learning) if point.mode in LEARNS_ON_DEVICES else None
        made_one, cosine = self._as_mean(folder) if point.kind == "apart" else (None, None)
        return Row(
            mode=point.mode,
            shift=point.shift,
            kind=point.kind,
            start=point.start,
            epochs=point.epochs,
            seed=point.seed,
            run=str(folder.path),
            command=command,
            accuracy=result.fresh_accuracy,
            made_one=made_one,
            cosine=cosine,
            energy=None if bill is None else bill.with_digital * 1e-6,
            seconds=None if bill is None else bill.sequential,
            did_learn=result.did_learn,
        )

    def _as_mean(self, folder: RunFolder) -> tuple[Dimensionless, Dimensionless]:
        """Return what a network reaches once all locations have the mean of their kernels, and how alike they are."""
        run = folder.read_config()
        data = images_of(run)
        model = load_model(folder.model_file, make_model(run, facts=data.facts)).eval()
        apart = take_off_tiles(model, run, data.facts)
        one = initial_network(replace(run, placement="time_multiplexed"), data.facts).eval()
        take_weights(one, apart)
        return loss_and_accuracy(one, data.test)[1], sharing_of(apart)["local1"]["cosine 1"]

    @override
    def findings(self, rows: Sequence[Row], failed: Mapping[str, str], out: Path) -> Findings:
        draw(rows, out / FIGURE)
        marked = () if all(row.did_learn for row in rows) else (RULE,)
        sections = [
            Section(
                text=(
                    "Test accuracy in %, mean ± standard deviation over seeds. Apart: without sharing. Made one: all "
                    "locations get the mean of their kernels, in floating point, before anything is learned again. "
                    "Then epochs on one tile, from that mean and from nothing.",
                    *marked,
                ),
                table=table(rows),
                records=[row.to_json() for row in rows],
            ),
            Section(
                title="What a past apart is worth",
                text=(
                    "Points of test accuracy, with 95 % intervals over seeds (Student's t): one tile that goes on "
                    "from the mean against one tile that starts from nothing, both learning as long from there.",
                ),
                table=gain_of_retraining(rows),
            ),
        ]
        bill = bill_of_sharing(rows)
        if bill is not None:
            text = (
                "Energy and time of the training on the chip, everything included (arrays on while the network "
                "works, layers one after another), of both parts together, priced with "
                f"`{profile_of(self.config.learning)}`; against one tile for as many epochs as kernels learned apart."
            )
            sections.append(Section(title="What it takes", text=(text,), table=bill))
        picture = Picture(
            path=out / FIGURE,
            description="Accuracy after kernels were made one, against epochs of learning on",
        )
        sections.append(Section(title="Figure", pictures=(picture,), page_only=True))
        if failed:
            sections.append(Section(title="Failed", items=[f"{n}: {why}." for n, why in failed.items()]))
        return Findings(
            title=TITLE,
            summary="Networks without sharing, their kernels made one, and what learning on brings.",
            sections=sections,
        )


def run_share(config: SharePlan) -> Answer:
    """Train what is not trained yet, and write table, figure and page; errors as those of `run_study`.

    Returns:
        The file of numbers.
    """
    run_study(Share(config))
    return numbers_file(NAME, config.out)


def _bill(folder: RunFolder, device: str) -> Bill | None:
    training = RunEvents.read(folder.ledger_file).training
    return None if training is None else price(training, load_profile(profile_of(device)))
