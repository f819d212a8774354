"""What `xbar paper` tells: its answers and tables, and its numbers, one in each line."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from devices.units import Dimensionless

from ...data.augmentation import PLAIN, VALIDATIONS
from ...data.chance import RULE
from ...drawing.sections import Section, Table, markdown_of
from ...support.statistics import NOTHING, Mean
from .answers import UNCERTAINTY, YEAR, answers, number_of, title_of
from .points import DIGITAL, Setting
from .published import DISTANCE_AT_START, DISTANCES, EPOCHS, VCP, published_scores
from .rows import LAYER, Row, Rows, Value, distance_of, score_of

TITLE: Final = "To share or not to share, on hardware"
_TABLES: Final = ("Accuracy", "How alike kernels are", "Absent inputs")


def markdown(rows: Rows, command: str, is_papers_data: bool, failed: Mapping[str, str]) -> str:
    """Write answers and tables to read; see `sections`."""
    return markdown_of(TITLE, sections(rows, command, is_papers_data, failed))


def sections(rows: Rows, command: str, is_papers_data: bool, failed: Mapping[str, str]) -> list[Section]:
    """Return answers and tables.

    Args:
        rows: The study.
        command: The line that repeats it.
        is_papers_data: Whether the paper's published values belong to these data.
        failed: Runs that failed, and why.
    """
    lead = " ".join([UNCERTAINTY, *notes(rows, is_papers_data)])
    found = [Section(text=(f"`{command}`", lead), records=list(records(rows.rows)))]
    found += [Section(title=question, items=items) for question, items in answers(rows).items()]
    for title, (header, cells) in zip(_TABLES, tables(rows, is_papers_data), strict=False):
        table = Table(header=header, rows=cells, align="l" * len(header))
        found.append(Section(title=title, table=table))
    found.append(Section(text=notes(rows, is_papers_data)))
    if failed:
        found.append(Section(warnings=[f"Failed: {name}: {why}" for name, why in failed.items()]))
    return found


def notes(rows: Rows, is_papers_data: bool) -> list[str]:
    """Say what the names of rows in tables and of columns in figures mean."""
    found = []
    if any(setting.is_control for setting in rows.settings()):
        found.append("Digital control: floating point with as many images and epochs as on hardware.")
    if is_papers_data:
        found.append(
            f"Published: Ott et al. (2020), up to {EPOCHS} epochs: plain and translation are medians of their "
            "Table 1, all else was read off their plots."
        )
    if not all(row.did_learn for row in rows.rows):
        found.append(RULE)
    return found


def tables(rows: Rows, is_papers_data: bool) -> list[tuple[list[str], list[list[str]]]]:
    """Return the tables as headers and cells: accuracies, distances between kernels, and absent inputs."""
    scores = []
    distances = []
    absent = []
    for setting in rows.settings():
        for strength in rows.strengths(setting):
            for network in rows.networks():
                if rows.select(setting, network, strength):
                    name = title_of(network) + rows.mark(setting, network, strength)
                    cells = [str(setting), name, f"{strength:g}"]
                    scores.append(
                        cells + [_score(rows, setting, network, strength, name) for name in VALIDATIONS]
                    )
                    if is_papers_data and setting == DIGITAL:
                        scores.append(_published(network, strength))
            distances.append(_distances(rows, setting, strength, is_papers_data))
        for strength, vcp in rows.vcps(setting):
            mean = rows.mean(score_of(PLAIN), setting, "fcn", strength, vcp)
            energy = rows.learned().mean(lambda row: row.energy_per_image, setting, "fcn", strength, vcp)
            published = VCP.get(vcp) if is_papers_data else None
            absent.append(
                [
                    str(setting),
                    f"{strength:g}",
                    f"{100 * vcp:.0f} %{rows.mark(setting, 'fcn', strength, vcp)}",
                    NOTHING if mean is None else mean.percent(),
                    NOTHING if energy is None else f"{energy.value:.3g}",
                    NOTHING if published is None else f"{100 * published:.0f} %",
                ]
            )
    found = [
        (
            ["learned", "network", rows.what, *VALIDATIONS],
            [row for row in scores if any(c != NOTHING for c in row[3:])],
        ),
        (
            [
                "learned",
                rows.what,
                "at first",
                "trained",
                "at right angles",
                "a year later",
                "cosine at first",
                "trained",
                "a year later",
                "signal to noise",
                "published",
            ],
            [row for row in distances if row],
        ),
    ]
    if absent:
        found.append((["learned", rows.what, "absent inputs", "plain", "µJ per image", "published"], absent))
    return [(header, cells) for header, cells in found if cells]


def _score(rows: Rows, setting: Setting, network: str, strength: Dimensionless, name: str) -> str:
    fresh, aged = (rows.mean(score_of(name, time), setting, network, strength) for time in (None, YEAR))
    if fresh is None:
        return NOTHING
    return fresh.percent() + ("" if aged is None else f" (1 y: {aged.percent()})")


def _published(network: str, strength: Dimensionless) -> list[str]:
    cells = []
    for name in VALIDATIONS:
        value = published_scores().get((network, name), {}).get(strength)
        cells.append(NOTHING if value is None else f"{100 * value:.1f} %")
    return ["published", network.upper(), f"{strength:g}", *cells]


def _distances(rows: Rows, setting: Setting, strength: Dimensionless, is_papers_data: bool) -> list[str]:
    mine = rows.select(setting, "fcn", strength)
    if not mine:
        return []

    def cell(value_of: Value) -> str:
        mean = Mean.of([value_of(row) for row in mine])
        return NOTHING if mean is None else number_of(mean)

    published = DISTANCES.get(strength) if is_papers_data and setting == DIGITAL else None
    return [
        str(setting),
        f"{strength:g}{rows.mark(setting, 'fcn', strength)}",
        cell(lambda row: row.start[LAYER]["euclidean 1"]),
        cell(distance_of()),
        cell(distance_of("orthogonal 1")),
        cell(distance_of(time=YEAR)),
        cell(lambda row: row.start[LAYER]["cosine 1"]),
        cell(distance_of("cosine 1")),
        cell(distance_of("cosine 1", YEAR)),
        cell(distance_of("snr")),
        NOTHING if published is None else f"{DISTANCE_AT_START:g}, then {published:g}",
    ]


def records(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Return one line for every run and look at it: tidy, to compute with."""
    for row in rows:
        point = row.point
        run = {
            "mode": point.setting.mode,
            "device": point.setting.device,
            "network": point.network,
            "strength": point.strength,
            "vcp": point.vcp,
            "seed": point.seed,
            "run": row.run,
            "chip": "",
            "time": "",
            "epoch": "",
        }
        for entry in row.history:
            for what, value in entry.items():
                if what != "epoch":
                    yield run | {"epoch": entry["epoch"], "what": what, "value": value}
        for what, value in row.start.get(LAYER, {}).items():
            yield run | {"epoch": 0, "what": f"{LAYER} {what}", "value": value}
        for chip, looks in enumerate(row.chips):
            for look in looks:
                seen = run | {"chip": chip, "time": look["time"]}
                for what, value in look["scores"].items():
                    yield seen | {"what": f"validation_{what}", "value": value}
                for what, value in look["sharing"].get(LAYER, {}).items():
                    yield seen | {"what": f"{LAYER} {what}", "value": value}
        for what, value in row.fit.items():
            yield run | {"what": f"fit_{what}", "value": value}
        yield run | {"what": "did_learn", "value": int(row.did_learn)}
        for what in ("energy_per_epoch", "energy_per_image", "work_per_epoch", "work_per_image"):
            if getattr(row, what) is not None:
                yield run | {"what": f"{what}_uJ", "value": getattr(row, what)}
