"""What a sweep refuses before its first run starts, and how it reads lists of options."""

import pytest

from experiments.cli import _parse, main
from experiments.studies.sweep.config import SweepConfig
from experiments.studies.sweep.lists import combinations_of, lists_of
from experiments.studies.tune.config import TuneConfig

COMMANDS = "train, evaluate, does-it-matter, tune, what-if, sharing-cost, paper, compare-devices, in-situ, share, pat"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("train --over lrr 1 2", "`over` must name options of `xbar train`, but names 'lrr'. Did you mean lr? "),
        ("train --over lr 1 a", "`lr` must be a number, but is 'a'. `xbar train --help` explains it."),
        ("train --over seed 0 x", "`seed` must be a whole number, but is 'x'."),
        ("train --over mode hwa foo", "`mode` must be one of digital, hwa, in-situ, write-verify, but is 'foo'."),
        ("train --over engine exact x", "`engine` must be one of auto, exact, aggregated, but is 'x'."),
        ("train --over scores true yes", "`scores` must be true or false, but is 'yes'."),
        ("train --over epochs 1 -1", "`epochs` must be 1 or more, but is -1. Give a larger number. (The run with"),
        ("train --over device pcm foo", "must be in the catalogue of devices, but is 'foo'."),
        ("train --over placement free time-multiplexed", "Did you mean 'time_multiplexed'?"),
        ("train --over chips 1 2 --mode digital --device none", "`chips` must be left out with --device none, but"),
        ("train --over train-images 10 5000", "`train_images` must be at most 1294, as there are no more, but is 5"),
        ("train --lr 1 --over lr 1 2", "`over` must name each option once, but 'lr' is given twice."),
        ("train --lr=1 --over lr 1 2", "`over` must name each option once, but 'lr' is given twice."),
        ("train --over lr 1 2 --over lr 3", "`over` must name each option once, but 'lr' is given twice."),
        ("train --over lr 1 2 1", "`over` must name each value once, but lr names '1' twice. Remove one."),
        ("train --over lr 1 1.0", "those with lr 1 and with lr 1.0 are the same run. Leave one out."),
        ("train --over memory 1GiB 2GiB", "those with memory 1GiB and with memory 2GiB are the same run."),
        ("train --over lr=1,2", "followed by an option and its values, but by 'lr=1,2' only. Write them apart: --o"),
        ("train --over threads 1 2", "names 'threads', which the sweep sets. Give --threads once for all runs."),
        ("train --over lr 1 2 --jobs 0", "`jobs` must be 1 or more, but is 0."),
        ("train --over lr 1 2 --jobs 2 --dask tcp://x:1", "`jobs` must be left out with --dask, but is 2: "),
        ("train --epochs 2", "`over` must name an option and its values, but is left out."),
        ("report x --over packing none block", f"but is 'report'. These can be swept: {COMMANDS}"),
        ("--over lr 1 2", f"but is left out. These can be swept: {COMMANDS}"),
        ("evaluate x --over device pcm reram-cmo", "`run` must be a run folder, but there is no folder x."),
        ("evaluate x --over device pcm reram-cmo --jobs 2", "`jobs` must be left out with evaluate, but is 2: its"),
        ("wires x --over chips 1 2 --dask tcp://x:1", "`dask` must be left out with wires, but is tcp://x:1: i"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused_before_the_first_run(words, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", *words.split()]) == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_command_itself_complains_of_its_own_options(capsys):
    with pytest.raises(SystemExit) as end:
        main(["sweep", "train", "--epcohs", "3", "--over", "lr", "0.1", "1"])
    assert end.value.code == 2
    assert "--epcohs" in capsys.readouterr().err


def test_words_of_both_commands_may_stand_in_any_order():
    words = "--jobs 2 train --data mnist --over lr 0.1 -0.5 --epochs 2 --over device a --plan"
    config = _parse(SweepConfig, "sweep", words.split())
    assert config.command == ("train", "--data", "mnist", "--epochs", "2")
    assert config.over == (("lr", "0.1", "-0.5"), ("device", "a"))
    assert (config.jobs, config.plan) == (2, True)


def test_an_option_that_takes_a_list_takes_each_in_quotes():
    over = [("devices", "pcm ecram", "pcm"), ("lr-range", "0.01 1"), ("download", "false")]
    lists = lists_of("tune", TuneConfig, over, [])
    configs = [one.config for one in combinations_of("tune", TuneConfig, lists, ["--trials", "2"])]
    assert [config.devices for config in configs] == [("pcm", "ecram"), ("pcm",)]
    assert all(config.lr_range == (0.01, 1.0) and config.trials == 2 for config in configs)
