"""Texts as data: windows of characters, each to be followed by the right next one."""

from collections import Counter, defaultdict

import pytest
import torch

from experiments.cli import main
from experiments.data.datasets import load_data
from experiments.data.sentences import sentences
from experiments.data.text import STEPS, parts_of_text
from experiments.runs.options.config import TrainConfig
from experiments.runs.options.defaults import resolve


def test_labels_are_the_characters_that_follow(tmp_path):
    text = "Beim Lesen öffnet sie leise die Augen.\r\n" * 40
    (tmp_path / "my.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    read = text.replace("\r\n", "\n")
    data = load_data(str(tmp_path / "my.txt"), seed=0)
    characters = sorted(set(read))
    assert data.facts.tokens == data.facts.classes == len(characters)
    for part in (data.train, data.validation, data.test):
        for x, y in zip(part.pixels, part.labels, strict=True):
            window = "".join(characters[i] for i in [*x.tolist(), int(y[-1])])
            assert window in read
            assert torch.equal(x[1:], y[:-1])


def test_the_end_of_the_text_is_for_the_test():
    inputs = {
        name: x for name, (x, _) in parts_of_text("ab" * 16 * 8 + "cd" * 16 * 2 + "c", "a text").items()
    }
    assert (len(inputs["train"]), len(inputs["test"])) == (8, 2)
    assert set(inputs["train"].flatten()) == {0, 1}
    assert set(inputs["test"].flatten()) == {2, 3}


def test_every_character_follows_some_other():
    """One that only stands at the beginning would be an input without being a class."""
    for parts in (parts_of_text("?" + "abc" * 1000, "a text"), parts_of_text("?!" + "abc" * 1000, "a text")):
        assert max(int(x.max()) for x, _ in parts.values()) == max(int(y.max()) for _, y in parts.values())


def test_sentences_are_the_same_always_and_as_hard_as_the_documents_say():
    """Who has counted what follows six characters is right on 82 % of the next ones: words are drawn."""
    text = sentences(120_000)
    assert text.startswith(sentences(500))
    seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for i in range(6, 100_000):
        seen[text[i - 6 : i]][text[i]] += 1
    tried = range(100_000, 120_000)
    right = sum(
        seen[text[i - 6 : i]].most_common(1)[0][0] == text[i] for i in tried if text[i - 6 : i] in seen
    )
    assert right / len(tried) == pytest.approx(0.82, abs=0.01)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            b"short",
            rf"`data` must hold a text of {10 * STEPS + 1} characters or more, .* has 5\. Give a longer",
        ),
        (b"a" * 1000, r"`data` must hold different characters, but .* has only 'a'"),
        (b"abc" * 500 + b"\xff", r"`data` must be a text in UTF-8, but byte 1500 of .* is none"),
    ],
)
def test_what_is_no_text(tmp_path, content, sentence):
    (tmp_path / "my.txt").write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        load_data(str(tmp_path / "my.txt"), seed=0)


def test_options_that_do_not_suit_a_text():
    with pytest.raises(ValueError, match=r"`loss` must be of a classification for a text, .* 'mse'"):
        load_data("sentences", seed=0, loss="mse")
    with pytest.raises(ValueError, match=r"`metric` must be of a classification for a text"):
        load_data("sentences", seed=0, metric="r2")
    with pytest.raises(
        FileNotFoundError, match=r"`data` must be an existing file, but there is no gone\.txt"
    ):
        load_data("gone.txt", seed=0)


def test_a_text_is_read_by_the_network_that_reads():
    facts = load_data("sentences", seed=0).facts
    run = resolve(TrainConfig(data="sentences"), facts)
    assert (run.model, run.placement, run.batch_size) == ("char_lstm", "time_multiplexed", 32)
    with pytest.raises(
        ValueError, match=r"`placement` must be left out for char_lstm, .* follow one another in"
    ):
        resolve(TrainConfig(data="sentences", placement="free"), facts)
    with pytest.raises(
        ValueError, match=r"`data` must be a text for char_lstm, .* 'digits' has inputs of 1 x 8 x"
    ):
        resolve(TrainConfig(model="char_lstm"), load_data("digits", seed=0).facts)
    with pytest.raises(
        ValueError, match=r"`model` must fit the images of 'sentences', \(32,\), but lenet_mnist"
    ):
        resolve(TrainConfig(data="sentences", model="lenet_mnist"), facts)


def test_the_command_line_says_what_is_wrong(tmp_path, capsys):
    assert main(["train", "--data", "sentences", "--data-dir", str(tmp_path)]) == 2
    assert "they come with the installation" in capsys.readouterr().err
    for study in ("sharing-cost", "compare-devices"):
        assert (
            main([study, "--data", "sentences", "--runs", str(tmp_path), "--out", str(tmp_path / "o")]) == 2
        )
        assert "`model` must be given to study 'sentences'" in capsys.readouterr().err
