"""Data sets: splits without overlap, reproducible by seed; damaged files named in one sentence."""

import pickle

import numpy as np
import pytest
import torch

from experiments.data.datasets import load_data


def write_images(path, images=None, labels=None, **more):
    """Write a file in which every image is unlike every other."""
    if images is None:
        images = np.linspace(0, 1, 20 * 64, dtype=np.float32).reshape(20, 1, 8, 8)
    np.savez(path, images=images, labels=np.arange(len(images)) % 10 if labels is None else labels, **more)
    return str(path)


def numbers(images):
    """Name each image of `write_images` by its first pixel."""
    return {round(float(value), 6) for value in images.pixels[:, 0, 0, 0]}


def test_digits_are_whole_and_lie_between_0_and_1():
    data = load_data("digits", seed=0)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [1294, 144, 359]
    everything = torch.cat([part.pixels for part in (data.train, data.validation, data.test)])
    assert everything.shape == (1797, 1, 8, 8)
    assert everything.dtype == torch.float32
    assert (everything.min(), everything.max()) == (0, 1)
    # scikit-learn counts 182 images of the digit 1
    assert sum(int((part.labels == 1).sum()) for part in (data.train, data.validation, data.test)) == 182


def test_parts_share_no_image_and_lose_none(tmp_path):
    data = load_data(write_images(tmp_path / "x.npz"), seed=3)
    parts = [numbers(part) for part in (data.train, data.validation, data.test)]
    assert [len(part) for part in parts] == [14, 2, 4]
    assert len(set.union(*parts)) == 20


def test_labels_stay_with_their_images(tmp_path):
    images = np.zeros((20, 1, 8, 8), dtype=np.float32)
    images += (np.arange(20) % 10 / 10)[:, None, None, None]
    data = load_data(write_images(tmp_path / "x.npz", images), seed=3)
    for part in (data.train, data.validation, data.test):
        assert torch.equal((part.pixels[:, 0, 0, 0] * 10).round().long(), part.labels)


def test_a_seed_is_a_split():
    first, again, other = (load_data("digits", seed=seed) for seed in (5, 5, 6))
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    assert torch.equal(first.test.pixels, again.test.pixels)


def test_fingerprint_sees_one_pixel_and_one_label():
    data, same = load_data("digits", seed=0), load_data("digits", seed=0)
    before = data.fingerprint()
    data.validation.pixels[3, 0, 4, 4] += 1e-6
    assert data.fingerprint() != before
    same.test.labels[7] = (same.test.labels[7] + 1) % 10
    assert same.fingerprint() != before


def test_fewer_images_are_the_first_of_the_same_split():
    whole, less = load_data("digits", seed=0), load_data("digits", seed=0, train_images=30, test_images=20)
    assert torch.equal(less.train.pixels, whole.train.pixels[:30])
    assert torch.equal(less.test.labels, whole.test.labels[:20])
    assert len(less.validation) == len(whole.validation)


def write_idx(path, array):
    """Write as MNIST's files are: two zero bytes, type 8 (unsigned byte), dimensions, sizes, values."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


@pytest.mark.parametrize(("data", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_mnist_files_are_read_and_keep_their_own_test_images(tmp_path, data, folder):
    raw = tmp_path / folder / "raw"
    raw.mkdir(parents=True)
    for part, count, first in (("train", 20, 0), ("t10k", 6, 200)):
        images = np.zeros((count, 28, 28))
        images[:, 2, 5] = first + np.arange(count)
        write_idx(raw / f"{part}-images-idx3-ubyte", images)
        write_idx(raw / f"{part}-labels-idx1-ubyte", np.arange(count) % 10)
    loaded = load_data(data, tmp_path, seed=0)
    assert loaded.image_shape == (1, 28, 28)
    marks = [set((part.pixels[:, 0, 2, 5] * 255).round().int().tolist()) for part in
             (loaded.train, loaded.validation, loaded.test)]  # fmt: skip
    assert marks[2] == set(range(200, 206))
    assert marks[0] | marks[1] == set(range(20))
    assert [len(part) for part in marks] == [18, 2, 6]


@pytest.mark.parametrize("data", ["mnist", "fashion-mnist", "cifar10", "svhn"])
def test_missing_data_name_the_folder_and_the_flag(tmp_path, data):
    sentence = rf"`data_dir` must be a folder with {data} .*, but {tmp_path} has no .*{data}\. "
    with pytest.raises(FileNotFoundError, match=sentence + r".*--data-dir.*--download"):
        load_data(data, tmp_path, seed=0)


def test_unknown_data_are_named():
    with pytest.raises(
        ValueError, match=r"`data` must be digits, digits-32, sentences, mnist, .*, but is 'imagenet'\."
    ):
        load_data("imagenet", seed=0)
    with pytest.raises(
        ValueError, match=r"`data` must be a function for a table such as 'my\.csv', .*:splits, which"
    ):
        load_data("my.csv", seed=0)
    with pytest.raises(
        FileNotFoundError, match=r"`data` must be an existing file, but there is no nowhere\.npz"
    ):
        load_data("nowhere.npz", seed=0)


IMAGES = np.zeros((20, 1, 8, 8), dtype=np.float64)


def with_pixel(value):
    images = IMAGES.copy()
    images[11, 0, 3, 3] = value
    return images


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"images": with_pixel(np.nan)}, r"`images` must be finite numbers, .* in 1 of 1280 pixels\."),
        ({"images": with_pixel(-np.inf)}, r"`images` must be finite numbers, .* in 1 of 1280 pixels\."),
        ({"images": with_pixel(1e300)}, r"`images` must be finite numbers, .* in 1 of 1280 pixels\."),
        ({"images": with_pixel(255)}, r"`images` must have pixels in \[0, 1\], but .* has \[0, 255\]\."),
        ({"images": with_pixel(-0.5)}, r"`images` must have pixels in \[0, 1\], but .* has \[-0\.5, 0\]\."),
        ({"images": IMAGES[:, 0]}, r"shapes \(20, 8, 8\) and \(20,\)"),
        ({"images": IMAGES, "labels": np.arange(19) % 10}, r"shapes \(20, 1, 8, 8\) and \(19,\)"),
        (
            {"images": IMAGES, "labels": np.arange(20) % 10 - 1},
            r"`labels` must be 0 or more, .* has \[-1, 8\]\.",
        ),
        (
            {"images": IMAGES, "labels": np.arange(20) % 10 / 2},
            r"`labels` must be numbers, .* type float64\.",
        ),
        ({"images": IMAGES.astype(str)}, r"`images` must be numbers, .* type <U"),
        ({"images": IMAGES[:2]}, r"`data` must hold 3 images or more, but .* holds 2\."),
        ({"images": IMAGES[:0]}, r"`data` must hold 3 images or more, but .* holds 0\."),
    ],
)
def test_poisoned_images_are_refused(tmp_path, arrays, sentence):
    with pytest.raises(ValueError, match=sentence):
        load_data(write_images(tmp_path / "x.npz", **arrays), seed=0)


def test_a_missing_array_is_named(tmp_path):
    np.savez(tmp_path / "x.npz", images=IMAGES)
    with pytest.raises(ValueError, match=r"`data` must hold the arrays `images` and `labels`, but .*labels"):
        load_data(str(tmp_path / "x.npz"), seed=0)


class Bomb:
    """Something whose unpickling leaves a trace."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("how", ["pickle", "object array", "one array", "garbage", "empty", "truncated"])
def test_hostile_files_are_refused_and_run_nothing(tmp_path, how):
    file, trace = tmp_path / "x.npz", tmp_path / "trace"
    if how == "object array":
        np.savez(file, images=np.array([Bomb(trace)], dtype=object), labels=np.zeros(1, dtype=int))
    elif how == "one array":
        np.save(tmp_path / "x.npy", IMAGES)
        (tmp_path / "x.npy").rename(file)
    else:
        write_images(file)
        whole = file.read_bytes()
        contents = {"pickle": pickle.dumps(Bomb(trace)), "garbage": b"x" * 99, "empty": b""}
        file.write_bytes(contents.get(how, whole[: len(whole) // 2]))
    with pytest.raises(ValueError, match=r"`data` must be a readable numpy archive .*x\.npz is not"):
        load_data(str(file), seed=0)
    assert not trace.exists()
