"""Data of one's own: arrays, functions, folders of pictures; and what is wrong with them, in a sentence."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from experiments.data import own_data
from experiments.data.datasets import load_data
from helpers.own_files import write_blobs, write_table, write_tokens

X = np.linspace(-2, 2, 30 * 6, dtype=np.float32).reshape(30, 2, 3)
Y = np.arange(30) % 3


def parts_of(data):
    return data.train, data.validation, data.test


def save(path, **arrays):
    np.savez(path, **{"inputs": X, "labels": Y, **arrays})
    return str(path)


def test_inputs_of_any_shape_are_split_without_overlap(tmp_path):
    data = load_data(save(tmp_path / "x.npz"), seed=1)
    assert [len(part) for part in parts_of(data)] == [22, 2, 6]
    assert data.image_shape == (2, 3)
    assert (data.facts.classes, data.facts.outputs, data.facts.images) == (3, 3, 22)
    everything = torch.cat([part.pixels for part in parts_of(data)])
    assert sorted(everything[:, 0, 0].tolist()) == sorted(X[:, 0, 0].tolist())
    for part in parts_of(data):
        index = ((part.pixels[:, 0, 0] + 2) / 4 * (30 * 6 - 1) / 6).round().long()
        assert torch.equal(part.labels, index % 3)


def test_a_test_of_its_own_stays_the_test(tmp_path):
    data = load_data(save(tmp_path / "x.npz", test_inputs=X[:9] + 10, test_targets=Y[:9]), seed=0)
    assert [len(part) for part in parts_of(data)] == [27, 3, 9]
    assert data.test.pixels.min() > 7


def test_types_say_what_numbers_are(tmp_path):
    table, tokens = load_data(write_table(tmp_path), seed=0), load_data(write_tokens(tmp_path), seed=0)
    assert (table.facts.is_regression, table.objective.metric, str(table.facts)) == (
        True, "r2", "inputs of 5, 1 target",
    )  # fmt: skip
    assert (tokens.facts.has_tokens, tokens.train.pixels.dtype, tokens.facts.target_shape) == (
        True, torch.int64, (10,),
    )  # fmt: skip
    bytes_ = load_data(save(tmp_path / "b.npz", inputs=np.full((30, 2), 255, np.uint8)), seed=0)
    assert bytes_.train.pixels.unique().tolist() == [1]
    numbers = load_data(save(tmp_path / "r.npz", labels=Y * 10), seed=0, loss="mse")
    assert (numbers.train.labels.dtype, numbers.facts.classes) == (torch.float32, None)


FUNCTIONS = """
import numpy as np, torch
from torch.utils.data import TensorDataset
import neighbour
x, y = torch.arange(40.0).reshape(20, 2), torch.arange(20) % 2
def pair(): return x, y
def two(): return (x, y), (x[:6], y[:6])
def three(): return (x, y), (x[:4], y[:4]), (x[:6], y[:6])
def sets(seed): return TensorDataset(x + seed, y), TensorDataset(x[:6], y[:6])
def table(): return {"train": (x, y), "test": TensorDataset(x[:5], y[:5])}
def nothing(): return 3
def lost(): return {"training": (x, y)}
class Uneven:
    def __len__(self): return 5
    def __getitem__(self, i): return torch.zeros(i + 1), 0
def uneven(): return Uneven(), (x, y)
def ragged(): return [[1.0], [1.0, 2.0], [0.0]], [0, 1, 0]
"""


def write_functions(folder):
    (folder / "neighbour.py").write_text("found = True\n")
    (folder / "my_data.py").write_text(FUNCTIONS)
    return str(folder / "my_data.py")


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("pair", (14, 2, 4)),
        ("two", (18, 2, 6)),
        ("three", (20, 4, 6)),
        ("sets", (18, 2, 6)),
        ("table", (18, 2, 5)),
    ],
)
def test_functions_return_what_they_have(tmp_path, name, sizes):
    data = load_data(f"{write_functions(tmp_path)}:{name}", seed=3)
    assert tuple(len(part) for part in parts_of(data)) == sizes
    if name == "sets":  # it asked for the seed
        assert data.train.pixels.max() == 42


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "nothing",
            r"`data` must return examples with labels, but .*my_data.py:nothing returned a int\. Return",
        ),
        ("lost", r"`data` must return train, validation and test, but .* has \{'training'\}"),
        ("uneven", r"`data` must have inputs of one shape, but .* has \(1,\) and \(5,\)\. Resize"),
        ("ragged", r"`inputs` must be of one shape for all examples, but those of .* differ"),
        (
            "absent",
            r"`data` must name a function of .*my_data\.py, but 'absent' is not in it\. It has pair, two",
        ),
        ("x", r"`data` must name a function of .*my_data\.py, but 'x' is no function"),
        ("", r"`data` must name a function in the file, but is .* Write .*my_data\.py:splits"),
    ],
)
def test_what_a_function_must_not_return(tmp_path, name, sentence):
    with pytest.raises(ValueError, match=sentence):
        load_data(f"{write_functions(tmp_path)}:{name}", seed=0)


def write_pictures(folder, sizes=((5, 4),), colours=("L",)):
    for part in ("cat", "dog"):
        (folder / part).mkdir(parents=True)
        for i in range(6):
            mode = colours[i % len(colours)]
            grey = 40 * i + (part == "dog")
            colour = grey if mode == "L" else (grey, 0, 0)
            Image.new(mode, sizes[i % len(sizes)], colour).save(folder / part / f"{i}.png")


def test_folders_are_classes_in_the_order_of_their_names(tmp_path):
    write_pictures(tmp_path / "images")
    data = load_data(str(tmp_path / "images"), seed=0)
    assert data.image_shape == (1, 4, 5)
    for part in parts_of(data):
        assert torch.equal((part.pixels[:, 0, 0, 0] * 255).round().long() % 40, part.labels)


def test_folders_with_a_test_and_with_colours(tmp_path):
    write_pictures(tmp_path / "train", colours=("L", "RGB"))
    write_pictures(tmp_path / "test")
    data = load_data(f"{tmp_path}/", seed=0)
    assert data.image_shape == (3, 4, 5)
    assert len(data.test) == 12


def test_what_is_wrong_with_a_folder(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"`data` must be an existing folder, but there is no .*nowhere"
    ):
        load_data(f"{tmp_path}/nowhere/", seed=0)
    with pytest.raises(
        ValueError, match=r"`data` must hold a folder for each class, two or more, .* holds 0"
    ):
        load_data(str(tmp_path), seed=0)
    write_pictures(tmp_path / "a", sizes=((5, 4), (6, 4)))
    with pytest.raises(
        ValueError, match=r"pictures of one size, but .*0\.png is 5 x 4 and .*1\.png is 6 x 4"
    ):
        load_data(str(tmp_path / "a"), seed=0)
    write_pictures(tmp_path / "b")
    (tmp_path / "b" / "cat" / "0.png").write_bytes(b"none")
    with pytest.raises(ValueError, match=r"`data` must hold pictures, but .*0\.png cannot be read as one"):
        load_data(str(tmp_path / "b"), seed=0)


def poisoned(value):
    array = X.copy()
    array[7, 1, 2] = value
    return array


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"inputs": poisoned(np.nan)}, r"`inputs` must be finite .* in 1 of 180, the first in example 7\."),
        ({"inputs": poisoned(np.inf)}, r"`inputs` must be finite"),
        ({"labels": np.where(Y == 1, np.nan, 0.5)}, r"`labels` must be finite .* the first in example 1\."),
        ({"labels": Y + 1}, r"`labels` must be numbered 0 to n-1, .* up to 3 and none of 0\. .*--loss mse"),
        ({"labels": Y * 2}, r"`labels` must be numbered 0 to n-1, .* and none of 1, 3\."),
        ({"labels": Y - 1}, r"`labels` must be classes 0, 1, \.\.\., but .* has -1\."),
        ({"labels": np.zeros(30, int)}, r"`labels` must be of two classes or more"),
        (
            {"labels": Y[:20]},
            r"`inputs` must be \(number, \.\.\.\) with as many `labels`, .*\(30, 2, 3\) and \(20,\)",
        ),
        ({"labels": Y.astype(str)}, r"`labels` must be numbers, .* the type <U"),
        ({"inputs": X[:0], "labels": Y[:0]}, r"`data` must hold examples, but .* holds none"),
        ({"test_inputs": X}, r"`data` must hold the arrays .* lacks test_labels\. Add it"),
        (
            {"test_inputs": X[:, :1], "test_labels": Y},
            r"`inputs` must have one shape in all parts, .*\(2, 3\) and \(1, 3\)",
        ),
    ],
)
def test_poisoned_arrays_are_refused(tmp_path, arrays, sentence):
    with pytest.raises(ValueError, match=sentence):
        load_data(save(tmp_path / "x.npz", **arrays), seed=0)


def test_fractions_are_no_classes(tmp_path):
    with pytest.raises(ValueError, match=r"`loss` must be that of a regression .* Number the classes"):
        load_data(write_table(tmp_path), seed=0, loss="cross-entropy")


def test_digits_scaled_up_are_the_digits():
    small, large = load_data("digits", seed=0), load_data("digits-32", seed=0)
    assert large.image_shape == (3, 32, 32)
    assert torch.equal(small.train.labels, large.train.labels)
    pooled = torch.nn.functional.avg_pool2d(large.test.pixels[:, :1], 4)
    assert (pooled - small.test.pixels).abs().mean() < 0.1


def test_a_dataset_is_read_example_by_example():
    found = own_data.parts_of_result(TensorDataset(torch.ones(3, 2), torch.tensor([0, 1, 0])), "it")
    assert found["train"][0].shape == (3, 2)
    assert found["train"][1].tolist() == [0, 1, 0]


def test_blobs_are_images(tmp_path):
    assert load_data(write_blobs(tmp_path), seed=0).image_shape == (2, 9, 7)
