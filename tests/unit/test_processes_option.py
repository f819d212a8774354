"""What a training in several processes cannot have is refused before any is started."""

import pytest

from experiments.cli import main
from experiments.runs.options.config import TrainConfig
from experiments.runs.options.defaults import resolve

DIGITS = (1, 8, 8)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"mode": "digital"}, "`mode` must be left out with several processes, but is digital"),
        ({"mode": "write-verify"}, "`mode` must be left out with several processes, but is write-verify"),
        ({"backend": "aihwkit"}, "`backend` must be left out with several processes, but is aihwkit"),
        ({"scores": True}, "`scores` must be left out"),
        ({"soft_sharing": 2.0}, "`soft_sharing` must be left out with several processes, but is 2.0"),
        ({"sleep_every": 3}, "`sleep_every` must be left out"),
        ({"mode": "in-situ", "device": "ecram", "record_every": 2}, "`record_every` must be left out"),
        ({"wires": "word_line=1,bit_line=1"}, "`wires` must be left out"),
    ],
)
def test_what_needs_one_process_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        resolve(TrainConfig(processes=2, **options), DIGITS)


def test_the_number_is_no_part_of_the_name_and_unsaid_where_it_is_one():
    one, two = (resolve(TrainConfig(processes=number), DIGITS) for number in (None, 2))
    assert (one.processes, two.processes) == (1, 2)
    assert one.identity() == two.identity()
    assert "processes" not in one.to_json()


def test_under_torchrun_there_are_as_many_as_it_has_started(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "some")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert resolve(TrainConfig(), DIGITS).processes == 3
    with pytest.raises(ValueError, match="`reference` must be left out under torchrun"):
        resolve(TrainConfig(reference=True), DIGITS)
    with pytest.raises(ValueError, match="`processes` must be 3, as many as torchrun has started, but is 2"):
        resolve(TrainConfig(processes=2), DIGITS)


def test_resume_is_refused_under_torchrun(monkeypatch, capsys):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "some")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["resume", "nothing"]) == 2
    assert "`resume` must not be started by torchrun" in capsys.readouterr().err


def test_a_number_below_one_is_refused():
    with pytest.raises(ValueError, match="`processes` must be 1 or more, but is 0"):
        TrainConfig(processes=0)
