"""Every reader meets hundreds of damaged files: no traceback, no wait, nothing changed in silence, one sentence each.

Two worlds. In a run folder with its manifest every change of a file has to be refused. Files that people write
(devices, profiles, measurements, images) and folders of earlier versions have no manifest: there, what can be nothing
but damage has to be refused, and what is another valid file (another digit) is read as such.
"""

import contextlib
import io
import random
import shutil
import signal
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crossbar
from crossbar import load_model, load_profile
from devices import get
from devices.files import MANIFEST
from devices.fitting import fit_drift, fit_pulse_response
from experiments.cli import main
from experiments.data.datasets import load_data
from experiments.runs.checkpoint import load_checkpoint
from experiments.runs.ledger_file import RunEvents
from experiments.runs.progress import Progress
from experiments.runs.result import Result
from experiments.runs.run_folder import RunFolder
from experiments.runs.run_network import make_model
from experiments.runs.training import make_optimizer
from experiments.runs.watching.record import OF_THE_LAYER, OF_THE_UPDATE, Record
from experiments.studies.paper.scores import scores_of_chips
from experiments.studies.report import write_study_page
from experiments.studies.sharing_cost.config import SharingCostConfig
from experiments.studies.sharing_cost.prices import row_of_run
from experiments.studies.sharing_cost.study import run_sharing_cost
from experiments.support.json_files import read_json, write_json
from helpers.mutations import (
    Mutation,
    no_file,
    of_archive,
    of_bytes,
    of_csv,
    of_json,
    of_tensors,
    of_text,
    of_toml,
)

pytestmark = pytest.mark.slow

SECONDS = 20.0  # that a reader may take; none needs one
LONGEST = 900  # letters of a sentence with two paths
TINY = [
    "train", "--train-images", "100", "--test-images", "40", "--batch-size", "32", "--epochs", "2", "--chips", "1",
    "--threads", "1",
]  # fmt: skip


class WaitedTooLongError(BaseException):
    """A reader did not answer."""


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Stop a block that takes too long, wherever it is, also in a system call."""

    def stop(number: int, frame: object) -> None:
        raise WaitedTooLongError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass(frozen=True)
class World:
    """Whole files of every kind, to be copied and damaged."""

    root: Path

    @property
    def written(self) -> RunFolder:
        return self._only("hwa")

    @property
    def in_situ(self) -> RunFolder:
        return self._only("in_situ")

    @property
    def interrupted(self) -> RunFolder:
        return self._only("interrupted")

    def _only(self, name: str) -> RunFolder:
        (path,) = (self.root / name).iterdir()
        return RunFolder(path)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("world")
    device = root / "my.toml"
    device.write_text(DEVICE)
    shutil.copy(Path(crossbar.__file__).parent / "cost" / "profiles" / "hermes-pcm.toml", root / "own.toml")
    dice = np.random.default_rng(0)
    write_measurements(root, dice)
    np.savez(root / "own.npz", images=dice.random((60, 1, 8, 8)), labels=np.arange(60) % 10)
    write_mnist(root / "MNIST" / "raw", dice)
    times = ["--times", "1s,1d"]
    assert main([*TINY, *times, "--device", str(device), "--out", str(root / "hwa")]) == 0
    learning = [*TINY, "--mode", "in-situ", "--device", "reram-sb", "--record-every", "2"]
    assert main([*learning, "--out", str(root / "in_situ")]) == 0
    worlds = World(root)
    assert main(["evaluate", str(worlds.written.path), "--times", "1h", "--threads", "1"]) == 0
    stop_after_an_epoch([*learning, "--out", str(root / "interrupted")])
    write_json(worlds.written.path / "paper.json", SCORES)
    write_study(root / "study", worlds)
    run_sharing_cost(SharingCostConfig(from_=root / "study", out=root / "study_2").resolved())
    return worlds


def stop_after_an_epoch(words: list[str]) -> None:
    from experiments.runs import training

    original, calls = training._finish_epoch, []

    def stopping(*arguments: Any) -> None:
        calls.append(None)
        if len(calls) == 2:
            raise OSError("the power fails")
        original(*arguments)

    training._finish_epoch = stopping
    try:
        assert main(words) == 2
    finally:
        training._finish_epoch = original


DEVICE = """\
name = "my-pcm"
technology = "phase-change memory"
source = "our lab, wafer 7"
summary = "A cell of ours."

[conductance]
g_min = 0.5
g_max = 25.0

[pulses]
law = "SoftBounds"
dw_min = 0.01
dw_min_std = 0.3
w_max = 0.9
w_min = -0.9

[drift]
exponent = 0.06
exponent_spread = 0.02
reference_time = 20.0
programming_noise = 0.4
read_noise = 0.5
last_time = 1e6
"""
SHARING = {"local1": {"euclidean 1": 0.5, "cosine 1": 1.0, "snr": 2.0}}
LOOK = {"time": 1.0, "scores": {"plain": 0.5, "shifted": 0.25}, "sharing": SHARING}
SCORES = {
    "start": SHARING, "trained": SHARING, "fit": {"training": 0.5, "validation": 0.5},
    "chips": [[{**LOOK, "time": None}, LOOK], [LOOK]],
}  # fmt: skip


def write_measurements(root: Path, dice: np.random.Generator) -> None:
    lines = ["device,pulse,conductance"]
    for device in range(2):
        g = 2.0
        lines.append(f"{device},0,{g}")
        for pulse in [1] * 30 + [-1] * 30:
            g += pulse * 0.2 * (1 - 0.8 * g / 10 if pulse > 0 else 0.2 + g / 10) + dice.normal(0, 0.01)
            lines.append(f"{device},{pulse},{g:.4f}")
    (root / "pulses.csv").write_text("\n".join(lines) + "\n")
    lines = ["device,time,conductance,target"]
    for device in range(4):
        nu = 0.05 + 0.01 * device
        lines += [
            f"{device},{t},{20 * ((t + 1) / 1) ** -nu * (1 + dice.normal(0, 0.01)):.4f},20"
            for t in (1, 10, 100, 999)
        ]
    (root / "drift.csv").write_text("\n".join(lines) + "\n")


def write_mnist(raw: Path, dice: np.random.Generator) -> None:
    raw.mkdir(parents=True)
    for part, count in (("train", 30), ("t10k", 10)):
        for kind, array in (
            ("images-idx3", dice.integers(0, 256, (count, 28, 28))), ("labels-idx1", np.arange(count) % 10),
        ):  # fmt: skip
            header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
            (raw / f"{part}-{kind}-ubyte").write_bytes(header + array.astype(np.uint8).tobytes())


def write_study(folder: Path, world: World) -> None:
    config = SharingCostConfig().resolved()
    profile = load_profile("isaac-reram")
    row = row_of_run(world.in_situ, profile, config)
    run = f"../in_situ/{world.in_situ.path.name}"
    content = {
        "format": "crossbar-emulator sharing-cost 1", "config": config.to_json(), "environment": {},
        "profiles": {"reram-sb": profile.to_toml()}, "rows": [{**row.to_json(), "run": run}],
        "left_out": {}, "failed": {}, "flips": [], "ranges": {},
    }  # fmt: skip
    folder.mkdir()
    write_json(folder / "sharing_cost.json", content)


def use_model(folder: RunFolder) -> None:
    load_model(folder.model_file, make_model(folder.read_config()))


def use_checkpoint(folder: RunFolder) -> None:
    config = folder.read_config()
    model = make_model(config)
    saved = load_checkpoint(folder.checkpoint_file, model, make_optimizer(model, config))
    Progress.from_json(saved, folder.checkpoint_file, 2, 4)


def use_record(folder: RunFolder) -> None:
    record = Record.read(folder.record_file)
    for layer in record.layers:
        for quantity in (*OF_THE_UPDATE, *OF_THE_LAYER, "at_bound", "weight_norm"):
            if f"{layer}/{quantity}" in record.columns:
                record.of_layer(layer, quantity)
        for role in record.roles(layer):
            record.of_layer(layer, f"{role}/pulses_mean")
            record.on_map(layer, f"{role}/pulses_mean")


def use_device(path: Path) -> None:
    device = get(str(path))
    device.rpu_config(weight_noise=0.1)
    device.training_config()
    device.noise_model()


def use_study(folder: Path) -> None:
    config = SharingCostConfig(from_=folder, out=folder / "out").resolved()
    with contextlib.redirect_stdout(io.StringIO()):
        run_sharing_cost(config)


def use_page(folder: Path) -> None:
    write_study_page("sharing-cost", folder)


def as_json(content: bytes, dice: random.Random) -> Iterator[Mutation]:
    yield from of_json(content, dice, 12)
    yield from of_text(content)


def as_lines(content: bytes, dice: random.Random) -> Iterator[Mutation]:
    lines = content.decode().split("\n")[:-1]
    for name, text in {
        "a line less": lines[:-1], "a line more": [*lines, lines[-1]], "no line": [], "an empty table": ["{}"],
        "a line of {}": [*lines[:-1], "{}"], "[[[[": ["[[[["], "lists": ["[]"] * len(lines), "turned": lines[::-1],
    }.items():  # fmt: skip
        yield Mutation(
            name, lambda path, text=text: (path.write_text("".join(f"{line}\n" for line in text)), None)[1]
        )
    for mutation in of_json(lines[-1].encode(), dice, 8):

        def apply(path: Path, mutation: Mutation = mutation) -> None:
            other = path.with_name("other")
            other.write_text(lines[-1])
            mutation.apply(other)
            path.write_bytes("\n".join(lines[:-1]).encode() + b"\n" + other.read_bytes() + b"\n")
            other.unlink()

        is_free = "stranger" in mutation.name
        yield Mutation(f"last line: {mutation.name}", apply, mutation.must_be_refused and not is_free)
    yield from of_text(content)


def as_toml(content: bytes, dice: random.Random) -> Iterator[Mutation]:
    yield from of_toml(content, dice, 14)
    yield from of_text(content)


def as_csv(content: bytes, dice: random.Random) -> Iterator[Mutation]:
    yield from of_csv(content, dice, 24)
    yield from of_text(content)


def as_archive(content: bytes, dice: random.Random) -> Iterator[Mutation]:
    yield from of_archive(content, dice, 8)


def as_tensors(content: bytes, dice: random.Random) -> Iterator[Mutation]:
    yield from of_tensors(content, dice, 8)


def as_images(content: bytes, dice: random.Random) -> Iterator[Mutation]:
    for sizes in ((2**31, 28, 28), (2**32 - 1,) * 3, (0, 28, 28)):
        header = content[:4] + b"".join(size.to_bytes(4, "big") for size in sizes)
        yield Mutation(
            f"{sizes} images", lambda path, header=header: (path.write_bytes(header + content[16:]), None)[1]
        )


@dataclass(frozen=True)
class Reader:
    """A file, how it is read, and how it can be damaged.

    Attributes:
        place: The folder that is copied, below that of the world; of a run: its kind.
        file: The file's name in it.
        read: Reads it, given the copy.
        damage: What can be done to a file of this kind, beside what can be done to any.
    """

    place: str
    file: str
    read: Callable[[Path], object]
    damage: Callable[[bytes, random.Random], Iterator[Mutation]]


def use_evaluations(folder: Path) -> None:
    files = list(folder.glob("evaluation-*.json"))
    for file in files:
        Result.from_json(read_json(file))
    if not files:  # a user may delete one
        raise FileNotFoundError("`evaluation` must exist, but does not.")


def use_result(folder: Path) -> None:
    Result.from_json(read_json(folder / "result.json"))


def use_mnist(folder: Path) -> None:
    load_data("mnist", folder, seed=0)


def use_pulses(folder: Path) -> None:
    fit_pulse_response(folder / "pulses.csv", laws=["ConstantStep"])


HWA, IN_SITU, CUT = "hwa/*", "in_situ/*", "interrupted/*"
READERS = {
    "config": Reader(HWA, "config.json", lambda p: RunFolder(p).read_config(), as_json),
    "the run's device": Reader(HWA, "device.toml", lambda p: use_device(p / "device.toml"), as_toml),
    "environment": Reader(HWA, "environment.json", lambda p: RunFolder(p).check_data("x"), as_json),
    "result": Reader(HWA, "result.json", use_result, as_json),
    "evaluation": Reader(HWA, "evaluation-*.json", use_evaluations, as_json),
    "ledger": Reader(HWA, "ledger.json", lambda p: RunEvents.read(p / "ledger.json"), as_json),
    "ledger in situ": Reader(IN_SITU, "ledger.json", lambda p: RunEvents.read(p / "ledger.json"), as_json),
    "log": Reader(HWA, "log.jsonl", lambda p: RunFolder(p).read_log(), as_lines),
    "scores": Reader(HWA, "paper.json", lambda p: scores_of_chips(RunFolder(p)), as_json),
    "model": Reader(HWA, "model.safetensors", lambda p: use_model(RunFolder(p)), as_tensors),
    "model in situ": Reader(IN_SITU, "model.safetensors", lambda p: use_model(RunFolder(p)), as_tensors),
    "record": Reader(IN_SITU, "record.npz", lambda p: use_record(RunFolder(p)), as_archive),
    "checkpoint": Reader(CUT, "checkpoint.safetensors", lambda p: use_checkpoint(RunFolder(p)), as_tensors),
    "study": Reader("", "study/sharing_cost.json", lambda p: use_study(p / "study"), as_json),
    "study 2": Reader("", "study_2/sharing_cost.json", lambda p: use_study(p / "study_2"), as_json),
    "page of a study": Reader("", "study_2/sharing_cost.json", lambda p: use_page(p / "study_2"), as_json),
    "device": Reader("", "my.toml", lambda p: use_device(p / "my.toml"), as_toml),
    "profile": Reader("", "own.toml", lambda p: load_profile(p / "own.toml"), as_toml),
    "pulses": Reader("", "pulses.csv", use_pulses, as_csv),
    "drift": Reader("", "drift.csv", lambda p: fit_drift(p / "drift.csv"), as_csv),
    "images": Reader("", "own.npz", lambda p: load_data(str(p / "own.npz"), p, seed=0), as_archive),
    "MNIST images": Reader("", "MNIST/raw/train-images-idx3-ubyte", use_mnist, as_images),
    "MNIST labels": Reader("", "MNIST/raw/t10k-labels-idx1-ubyte", use_mnist, lambda content, dice: iter(())),
}
WITHOUT_MANIFEST = (
    "study", "device", "profile", "pulses", "drift", "images", "MNIST images",
    "MNIST labels",
)  # fmt: skip
# What a study says about itself, for people: it is shown as it is, or not read back.
SHOWN = ("config.", "configuration.", "environment.", "sections.", "ranges", "flips", "profiles.")
TABLES = (".csv", ".toml")
ENCODINGS = ("UTF-16", "latin-1", "cp1252", "mac-roman")
NUMBERS: Counter[str] = Counter()


def copied(world: World, reader: Reader, to: Path) -> Path:
    """Copy what a reader needs."""
    if to.exists():
        shutil.rmtree(to)
    if reader.place:
        (source,) = world.root.glob(reader.place)
        shutil.copytree(source, to)
    else:
        to.mkdir()
        source = world.root / reader.file.split("/")[0]
        if source.is_dir():
            shutil.copytree(source, to / source.name)
            if source.name.startswith("study"):
                shutil.copytree(world.root / "in_situ", to / "in_situ")
        else:
            shutil.copy(source, to / source.name)
    return to


def verdict_of(read: Callable[[], object]) -> tuple[str, str]:
    """Read, and say how that ended: read, refused, or a fault with a description."""
    try:
        with within(SECONDS):
            read()
    except WaitedTooLongError:
        return "fault", "it waited"
    except (ValueError, TypeError, OSError) as error:
        text = " ".join(str(error).split())
        if "must " not in text or len(text) > LONGEST or "\0" in text:
            return "fault", f"no sentence: {type(error).__name__}: {text[:300]}"
        return "refused", text
    except Exception as error:
        return "fault", f"traceback: {type(error).__name__}: {str(error)[:200]}"
    return "read", ""


@pytest.mark.parametrize("has_manifest", [True, False], ids=["with manifest", "without"])
@pytest.mark.parametrize("name", READERS)
def test_readers(world: World, tmp_path: Path, name: str, has_manifest: bool) -> None:
    if has_manifest and name in WITHOUT_MANIFEST:
        pytest.skip("files that people write have no manifest")
    reader, dice, faults = READERS[name], random.Random(zlib.crc32(name.encode())), []
    folder = copied(world, reader, tmp_path / "copy")
    (file,) = folder.glob(reader.file)
    content = file.read_bytes()
    flips = 12 if has_manifest else 6
    mutations = [
        *no_file(),
        *of_bytes(content, dice, flips, is_table=file.suffix in TABLES),
        *reader.damage(content, dice),
    ]
    verdict, text = verdict_of(lambda: reader.read(folder))
    assert verdict == ("refused" if name == "environment" else "read"), text
    for mutation in mutations:
        folder = copied(world, reader, tmp_path / "copy")
        (file,) = folder.glob(reader.file)
        if not has_manifest:
            (file.parent / MANIFEST).unlink(missing_ok=True)
        mutation.apply(file)
        is_changed = not file.is_file() or file.is_symlink() or file.read_bytes() != content
        verdict, text = verdict_of(lambda folder=folder: reader.read(folder))
        shown = (*SHOWN, "rows.") if name == "page of a study" else SHOWN if name.startswith("study") else ()
        # Measuring stations write any encoding.
        shown = ENCODINGS if name in ("pulses", "drift") else shown
        must_be_refused = mutation.must_be_refused and not mutation.name.startswith(shown)
        if verdict == "read" and is_changed and (has_manifest or must_be_refused):
            verdict, text = "fault", "it was read as if nothing had happened"
        NUMBERS[verdict] += 1
        if verdict == "fault":
            faults.append(f"{mutation.name}: {text}")
    print(f"{name}: {len(mutations)} files, {len(faults)} faults; in all {dict(NUMBERS)}")
    assert not faults, "\n".join(faults)


COMMANDS = {
    "resume": (HWA, ("config.json", "device.toml", "result.json", "environment.json", MANIFEST)),
    "report": (IN_SITU, ("config.json", "result.json", "log.jsonl", "ledger.json", "record.npz", MANIFEST)),
    "evaluate": (HWA, ("config.json", "device.toml", "model.safetensors", "environment.json", MANIFEST)),
    "continue": (CUT, ("config.json", "checkpoint.safetensors", "record.npz", "log.jsonl", "lock", MANIFEST)),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(world: World, tmp_path: Path, capfd: pytest.CaptureFixture[str], command: str) -> None:
    """One line on the standard error and code 2, or, if the file is not needed, the table of an undamaged run."""
    place, files = COMMANDS[command]
    words = ["resume" if command == "continue" else command]

    def tried(mutation: Mutation | None, name: str) -> tuple[int | str, str, str]:
        folder = copied(world, Reader(place, name, print, as_json), tmp_path / "copy")
        if mutation is not None:
            mutation.apply(folder / name)
        capfd.readouterr()
        try:
            with within(3 * SECONDS):
                code: int | str = main(
                    [*words, str(folder), *(["--threads", "1"] if command == "evaluate" else [])]
                )
        except WaitedTooLongError:
            code = "it waited"
        except Exception as error:
            code = f"{type(error).__name__}: {error}"
        out, err = capfd.readouterr()
        return code, out, err

    code, whole, _ = tried(None, files[0])
    assert code == 0
    table = [line for line in whole.splitlines() if "%" in line and "epoch" not in line]
    dice, faults, count = random.Random(command), [], 0
    for name in files:
        content = (copied(world, Reader(place, name, print, as_json), tmp_path / "copy") / name).read_bytes()
        mutations = [*no_file(), *of_bytes(content or b"x", dice, 3)]
        for mutation in dice.sample(mutations, 7):
            code, out, err = tried(mutation, name)
            count += 1
            if code == 2:
                is_well = err.count("\n") == 1 and err.startswith("xbar: `")
            else:
                is_well = (
                    code == 0
                    and [line for line in out.splitlines() if "%" in line and "epoch" not in line] == table
                )
            NUMBERS["command refused" if code == 2 else "command went on"] += 1
            if not is_well:
                faults.append(f"{name}, {mutation.name}: {code}: {err[-300:]}")
    print(f"{command}: {count} files, {len(faults)} faults; in all {dict(NUMBERS)}")
    assert not faults, "\n".join(faults)


def test_there_were_enough() -> None:
    """The tests above count what they have tried; run with `-p no:randomly` this one is the last."""
    if NUMBERS:
        assert NUMBERS["refused"] + NUMBERS["read"] + NUMBERS["command refused"] >= 500
