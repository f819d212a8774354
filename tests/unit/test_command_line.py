"""The command line: its one table of commands, what it prints without torch, and words it understands or refuses."""

import re
import shlex
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
import tyro

from experiments.cli import COMMANDS, load, main
from experiments.runs.options.command_line import command_of
from experiments.runs.options.config import TrainConfig
from experiments.runs.options.defaults import resolve
from experiments.runs.run_folder import RunFolder
from experiments.studies.compare_devices.config import DEVICES, CompareDevicesConfig
from experiments.studies.sharing_cost.config import SCHEMES, SharingCostConfig

REPOSITORY = Path(__file__).resolve().parents[2]


def test_every_command_of_the_table_exists():
    assert len({command.name for command in COMMANDS}) == len(COMMANDS)
    for command in COMMANDS:
        config = load(command.config)
        assert is_dataclass(config)
        assert callable(load(command.function))
        has_threads = "threads" in {field.name for field in fields(config)}
        # The bench sets its own, for each process that it measures.
        assert (command.threads != "all") == (has_threads and command.name != "bench"), command.name
        assert (command.threads == "jobs") <= hasattr(config, "resolved")


def test_overview_and_error_name_every_command_of_the_table(capsys):
    assert main(["--help"]) == 0
    overview = capsys.readouterr().out
    for command in COMMANDS:
        line = rf"^  {command.name} +{re.escape(command.summary)}$"
        assert len(re.findall(line, overview, re.MULTILINE)) == 1
    assert main(["tain"]) == 2
    error = capsys.readouterr().err
    *others, last = (command.name for command in COMMANDS)
    assert f"must be {', '.join(others)} or {last}, but is 'tain'." in error


@pytest.mark.parametrize(
    ("flag", "lines"),
    [
        (
            "--version",
            [r"crossbar-emulator \d+\.\S+", r"torch 2\.\S+", r"aihwkit 1\.\S+", r"Python 3\.\d+\.\S+"],
        ),
        ("--help", None),
    ],
)
def test_version_and_overview_answer_without_torch(flag, lines):
    code = (
        f"import sys; from experiments.cli import main; assert main([{flag!r}]) == 0\n"
        "assert not {'torch', 'aihwkit', 'tyro'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    if lines is not None:
        assert len(printed) == len(lines)
        assert all(re.fullmatch(line, text) for line, text in zip(lines, printed, strict=True)), printed


def test_a_placement_with_a_hyphen_is_told_its_name(capsys):
    for placement in ("time-multiplexed", "time-multiplexed()"):
        assert main(["train", "--placement", placement]) == 2
        assert "`placement` must be one of" in (error := capsys.readouterr().err)
        assert error.endswith(f"but is {'time-multiplexed'!r}. Did you mean 'time_multiplexed'?\n")


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_no_option_offers_none_twice(command, capsys):
    """What may be left open is left open by leaving it out; `None` is no word of its own."""
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert "None" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "option"), [("train", "compensation"), ("train", "engine"), ("evaluate", "compensation")]
)
def test_a_wrong_word_is_answered_with_the_right_ones(command, option, capsys):
    with pytest.raises(SystemExit):
        main([command, f"--{option}", "None", *(["run"] if command == "evaluate" else [])])
    error = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "invalid choice 'None'" in error
    assert "'None'" not in error.partition("Expected")[2]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("devices", "pcm"),
        ("schemes", "free"),
        ("times", "1h"),
        ("epochs", "3"),
        ("seeds", "7"),
        ("jobs", "2"),
    ],
)
def test_what_is_priced_again_takes_no_option_of_a_training(option, value, tmp_path, capsys):
    assert main(["sharing-cost", "--from", str(tmp_path), f"--{option}", value]) == 2
    assert f"xbar: `{option}` must be left out with --from, but is {value}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("train --mode digital --device none --chips 3", "`chips` must be left out with --device none, but is 3: "),
        ("train --mode digital --device none --times 1h", "`times` must be left out with --device none, but is 1h: "),
        ("train --mode digital --device none --backend aihwkit", "`backend` must be left out with --device none"),
        ("train --mode digital --device none --compensation global", "`compensation` must be left out with --device"),
        ("train --download", "`download` must be left out with --data digits, but is True: they come with"),
        ("train --data-dir x", "`data_dir` must be left out with --data digits, but is x: they come with"),
        ("train --data mine.npz --download", "`download` must be left out with --data mine.npz, but is True: a file"),
        ("devices --out x", "`out` must be left out without a name, but is x: a list is only printed. Name"),
        ("fit-device a.csv --reference-time 5", "`reference_time` must be left out without --drift, but is 5.0: "),
    ],
)  # fmt: skip
def test_what_would_have_no_effect_is_refused(words, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == 2
    assert f"xbar: {sentence}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["resume", "evaluate"])
def test_images_of_the_installation_do_not_move(command, digital_run, capsys):
    assert main([command, str(digital_run), "--data-dir", "x"]) == 2
    assert "xbar: `data_dir` must be left out, but is x: the run's images, digits," in capsys.readouterr().err


@pytest.mark.parametrize(("option", "value"), [("chips", "3"), ("times", "1h"), ("compensation", "global")])
def test_an_evaluation_without_a_device_takes_no_option_of_chips(option, value, digital_run, capsys):
    assert main(["evaluate", str(digital_run), f"--{option}", value]) == 2
    sentence = f"xbar: `{option}` must be left out with --device none, but is {value}: nothing is programmed."
    assert sentence in capsys.readouterr().err


@pytest.fixture
def digital_run(tmp_path):
    """A run that was trained digitally and is to be programmed onto nothing."""
    run = resolve(TrainConfig(mode="digital", device="none", out=tmp_path), (1, 8, 8))
    folder = RunFolder.of(run)
    folder.path.mkdir()
    folder.start(run, {})
    folder.model_file.touch()
    return folder.path


@pytest.mark.parametrize(
    "wish",
    [
        {"mode": "digital", "device": "none", "chips": 20, "times": "1h", "backend": "aihwkit", "seed": 3},
        {"data_dir": "elsewhere", "download": True, "seed": 3},
    ],
)
def test_the_line_that_repeats_a_run_is_not_refused(wish):
    """A run of a study, or of an earlier version, may hold what has no effect; the line leaves it out."""
    run = resolve(TrainConfig(**wish), (1, 8, 8))
    for asked in (TrainConfig(**wish), run.as_wish()):
        words = shlex.split(command_of(asked))
        assert words[words.index("--seed") + 1] == "3"
        again = tyro.cli(TrainConfig, args=words[2:])
        again.refuse_idle()
        assert resolve(again, (1, 8, 8)).lr == run.lr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("sharing-cost --download", "`download` must be left out with --data digits, but is True: they come with"),
        ("compare-devices --data-dir x", "`data_dir` must be left out with --data digits, but is x: they come with"),
        ("paper --data-dir x", "`data_dir` must be left out with --data digits, but is x: they come with"),
        ("paper --scale laptop --data digits --download", "`download` must be left out with --data digits"),
        *((f"{study} --dask tcp://127.0.0.1:1 --jobs 2", "`jobs` must be left out with --dask, but is 2: the cluster")
          for study in ("sharing-cost", "compare-devices", "paper", "in-situ")),
        ("sharing-cost --mechanisms hwa --tile-counts 2 4", "`tile_counts` must be left out without the mechanism "),
        ("paper --modes hwa --strengths 0.5", "`strengths` must be left out without the mode digital, but is 0.5"),
        ("paper --modes hwa --in-situ ecram", "`in_situ` must be left out without the mode in-situ, but is ecram"),
        ("paper --modes in-situ --hwa pcm-hermes", "`hwa` must be left out without the mode hwa, but is pcm-he"),
        ("bench --only growth --model fcn_digits", "`model` must be left out with --only growth, but is fcn_digits:"),
        ("bench --only wires --batch-sizes 4 8", "`batch_sizes` must be left out with --only wires, but is 4 8: tha"),
        ("bench --only update --tile-counts 4", "`tile_counts` must be left out with --only update, but is 4: that"),
        ("bench --only forward --data-dir x", "`data_dir` must be left out with --only forward, but is x: that part"),
        ("bench --only step --model fcn_digits --data-dir x", "`data_dir` must be left out with --model fcn_digits"),
        ("bench --only update-error --data-dir x", "`data_dir` must be left out with --only update-error, but is x"),
        ("bench --quick --repeats 3", "`repeats` must be left out with --quick, but is 3: it has numbers of its own"),
        ("bench --quick --model fcn_mnist --tile-counts 4", "`tile_counts` must be left out with --quick, but is 4:"),
        ("paper --modes digital --hardware-epochs 3", "`hardware_epochs` must be left out without the mode hwa or "),
    ],
)  # fmt: skip
def test_what_would_have_no_effect_in_a_study_is_refused(words, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*words.split(), *([] if {"--dask", "bench"} & set(words.split()) else ["--jobs", "1"])]) == 2
    assert f"xbar: {sentence}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("tran", "but is 'tran'. Did you mean train?"),
        ("compare-device", "Did you mean compare-devices"),
        ("xyz", "but is 'xyz'. See `xbar --help`."),
        ("train --model fcn-digits", "but is 'fcn-digits'. Did you mean fcn_digits"),
        (
            "train --train-images 5000",
            "`train_images` must be at most 1294, as there are no more, but is 5000.",
        ),
        ("train --test-images 360", "`test_images` must be at most 359, as there are no more, but is 360."),
        ("in-situ --jobs 1 --test-images 360", "`test_images` must be at most 359, as there are no more"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(words, advice, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == 2
    assert advice in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("config_class", "typed"),
    [
        (SharingCostConfig, {"seeds": (0, 1, 2), "tile_counts": (1, 2, 4, 8, 16), "schemes": SCHEMES, "chips": 5}),
        (SharingCostConfig, {"epochs": 9, "chips": 3}),
        (CompareDevicesConfig, {"seeds": (0, 1, 2), "devices": DEVICES, "chips": 5}),
        (CompareDevicesConfig, {"epochs": 9, "chips": 3}),
    ],
)  # fmt: skip
def test_what_is_typed_wins_over_quick(config_class, typed):
    """Also where it says what the whole study would be."""
    words = ["--quick"]
    for name, value in typed.items():
        words += [f"--{name.replace('_', '-')}", *map(str, value if isinstance(value, tuple) else (value,))]
    quick, config = (tyro.cli(config_class, args=args).resolved() for args in (["--quick"], words))
    assert {name: getattr(config, name) for name in typed} == typed
    assert all(getattr(quick, name) != value for name, value in typed.items())
    assert tyro.cli(config_class, args=[]).resolved().chips == 5


def test_the_old_name_of_absent_inputs_works_and_says_the_new_one(capsys, tmp_path):
    words = ["train", "--vcp=0.3", "--placement", "time_multiplexed", "--out", str(tmp_path)]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "--vcp is called --absent-inputs now" in said
    assert "`absent_inputs` must be 0 with the placement 'time_multiplexed', but is 0.3" in said
