"""The command line: its one table of commands, what it prints without torch, and words it understands or refuses."""

import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from experiments.cli import COMMANDS, load, main

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
