"""What `xbar train` can be asked for: a frozen dataclass, from which tyro makes the command line."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal, final

from ...data.objective_names import Loss, Metric
from ...support.durations import Seconds, parse_times
from ...support.options.idle_options import refuse_given, refuse_given_folder
from ...support.options.open_options import (
    ALL,
    OPEN,
    OPEN_FLOAT,
    OPEN_INT,
    OPEN_NAME,
    OPEN_PATH,
    OPEN_TILE,
    one_of,
)
from ...support.runs_folder import runs_folder

Mode = Literal["digital", "hwa", "in-situ", "write-verify"]
Compensation = Literal["none", "global", "per_tile", "per_column"]
Backend = Literal["batched", "aihwkit"]
Schedule = Literal["constant", "cosine", "step"]
Engine = Literal["auto", "exact", "aggregated"]
Refresh = Literal["when-full", "every-batch"]
Pattern = Literal["own", "common"]
Spread = Literal["tiles", "images"]
Augment = Literal["none", "translation", "rotation", "noise", "edge-noise"]

Dimensionless = Annotated[float, "1"]

NO_DEVICE: Final = "none"
# What decides only about chips: how they are computed, how many, when, and what helps them against drift.
OF_CHIPS: Final = ("backend", "chips", "times", "compensation")
# What such a mode trains is one chip, not weights for any.
LEARNS_ON_DEVICES: Final = ("in-situ", "write-verify")


@final
@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Train a network, program it onto a device, and follow its accuracy over time.

    Without any flag: the network without weight sharing on scikit-learn's 8 x 8 digits, trained
    hardware-aware, on phase-change memory; a minute or two on two cores, nothing to download.

    With --mode in-situ the devices learn by themselves: pulses move them, with all their imperfections. What
    comes out is one chip, evaluated as its devices stand, and over time where they have a model of drift.
    --mode write-verify is its control: the gradient is computed digitally, and the devices are written to the
    weights by pulses, each of them read and corrected until it is close enough.

    Examples:
      xbar train
      xbar train --model cnn_digits --mode digital
      xbar train --mode in-situ --device reram-sb --record-every 10
      xbar train --mode in-situ --device ttv2-reram-es --placement 'replicated(tiles=4)'
      xbar train --mode in-situ --device ecram --model cnn_digits --placement 'replicated(sync_every=10)'
      xbar train --mode write-verify --device pcm --write-every 10
      xbar train --mode in-situ --device ecram --faults 'stuck_low=0.05,dead_columns=0.01'
      xbar train --wires 'word_line=2,bit_line=2' --tile-size 256
      xbar train --augment translation --strength 0.2 --scores
      xbar train --placement free --soft-sharing 10
      xbar train --data mnist --data-dir data --download --epochs 5
      xbar train --model cnn_digits --processes 2 --spread images
      xbar train --placement 'blocks(rows=2,cols=2)' --device pcm-hermes --times 1h,1d,1y
    """

    data: str = "digits"
    """Images: digits (in the installation), digits-32 (the same as 3 x 32 x 32), mnist, fashion-mnist, cifar10, svhn.
    A text: sentences (of a small grammar, in the installation). Or your own: file.npz with `images` (number,
    channels, height, width), pixels in [0, 1], and `labels`, or with `inputs` of any shape; file.txt, a text whose
    next characters are learned; my_data.py:splits, a function that returns (train, test); images/, a folder with a
    folder of pictures for each class."""
    data_dir: str = "data"
    """Folder of the data set, as torchvision lays it out."""
    download: bool = False
    """Fetch the data set into the data folder if it is missing."""
    train_images: Annotated[int | None, ALL] = None
    """Train on this many images only."""
    test_images: Annotated[int | None, ALL] = None
    """Test on this many images only."""

    loss: Annotated[Loss | None, one_of(Loss), OPEN] = None
    """What training lowers: cross-entropy of classes; mse, l1 or smooth-l1 of a regression. (default: cross-entropy
    where labels are whole numbers, else mse)"""
    metric: Annotated[Metric | None, one_of(Metric), OPEN] = None
    """What is counted, in % of its best: accuracy, top5 (the class is among the five largest outputs),
    balanced-accuracy (mean over the classes); of a regression r2, 1 less the squared error over that of the mean.
    (default: accuracy, r2 of a regression)"""

    fold: Annotated[str | None, OPEN_NAME] = None
    """Cross-validation: 2/5 joins all images and tests on the second of five parts; the same parts for every seed.
    (default: the data set's own test images)"""
    augment: Augment = "none"
    """Transform the training images, each time it is seen by a new draw: shift by up to --strength times width and
    height, turn by up to --strength times a full turn, or add normal noise of deviation --strength to all pixels or
    to the outer ones."""
    strength: Dimensionless = 0.0
    """Strength of --augment."""
    scores: bool = False
    """After every epoch also score the validation images shifted, turned, noisy and with two quadrants exchanged, and
    measure how alike the kernels of neighbouring locations are; see log.jsonl. Takes longer."""

    model: Annotated[str | None, OPEN_NAME] = None
    """fcn_digits, fcn_mnist, fcn_cifar10: every image location has its own kernel on its own tile.
    cnn_digits, cnn_mnist, cnn_cifar10: one kernel per layer. lenet_mnist, dense_mnist (784-256-128-10),
    resnet20_cifar10, vgg_cifar10, vit_cifar10 (a small vision transformer): as they are known; all but dense_mnist
    also with _free at the end. char_lstm: reads a text. Or your own: my_network.py:build, a function that
    returns an nn.Module, digital or analog; it may ask for `input_shape`, `num_classes` and `seed`. (default: the FCN
    that fits the data; char_lstm for a text)"""
    placement: Annotated[str | None, OPEN_NAME] = None
    """Where the kernels of the local layers live: free, time_multiplexed,
    'replicated(tiles=4)', 'blocks(rows=2,cols=2)', 'random(tiles=16,redraw=True)',
    'interleaved(period=3)'. In situ also 'replicated(tiles=4,sync_every=10)': each copy learns from its own
    locations, and every 10 steps all are written to their mean. Or layer by layer, by name pattern, of which the
    first that fits counts: 'local1=free,local*=replicated(tiles=4)'. Of your own model all convolutions are placed.
    (default: the model's own)"""
    start_from: Annotated[str | None, OPEN_NAME] = None
    """A finished run of the same network: start with what it has learned, in place of drawn weights. Its folder, or
    the folder's name in --out. Placements may differ: a kernel that replaces several starts as their mean. (default:
    weights are drawn)"""
    absent_inputs: Dimensionless = 0.0
    """Variable connection patterns: share of the inputs of every local layer that is absent, the same ones for all
    images; they have no devices and cost nothing. Only where every location has a kernel of its own."""
    absent_weights: Dimensionless = 0.0
    """Likewise, share of the weights of every local layer that is absent: of each kernel, on each of its tiles, other
    devices. They draw no current, receive no pulse and cost nothing."""
    absent_pattern: Annotated[Pattern | None, one_of(Pattern), OPEN] = None
    """With --absent-weights: own, every tile lacks devices of its own, copies of one kernel too; common, all tiles of
    a layer lack the same. (default: own)"""
    mode: Mode = "hwa"
    """hwa: hardware-aware, with the device's noise in every forward pass. digital: plain floating point.
    in-situ: on the devices, by pulses. Each tile learns for itself; of replicated kernels every copy receives
    every update, or with sync_every those of its own locations. write-verify: through the devices forward and
    backward, by a digital gradient; the devices are written to the weights by a write-verify loop."""
    device: str = "pcm"
    """Memory cell that the trained network is programmed onto, or that pulses move, for --mode in-situ and
    write-verify; `xbar devices` lists both kinds. Or one's own: a device file such as my.toml, which
    `xbar fit-device` makes. With --mode digital also none: then nothing is programmed."""
    faults: Annotated[str | None, OPEN_NAME] = None
    """Parts of the devices that do not work, for example 'stuck_low=0.01,stuck_high=0.001,dead_rows=0.002':
    stuck_low, stuck_high, stuck_random of single devices, dead_rows of word lines, dead_columns of bit lines.
    Every chip has its own; in situ and write-verify the one chip learns with them. (default: all work)"""
    wires: Annotated[str | None, OPEN_NAME] = None
    """Resistance of the wires of every array, for example 'word_line=1,bit_line=1': in ohm, of a segment between
    neighbouring devices; also source and sense for those of drivers and sense amplifiers, and drivers=both,
    sensed=both for lines that are driven or sensed at both ends. Hardware-aware training sees the weights
    through them, and so does every chip, exactly. Not in situ or by write-verify. (default: ideal wires)"""
    wires_every: Annotated[int | None, OPEN_INT] = None
    """With --wires: training steps between two computations of what the wires take of the weights. (default:
    100)"""
    tile_size: Annotated[int | str | None, OPEN_TILE] = None
    """Word lines and bit lines of the largest array, 256, or 256x128 where they differ; larger kernels are split,
    with digital sums. (default: aihwkit's: 512 word lines; 512 bit lines in situ and by write-verify, any number
    otherwise)"""
    weight_noise: Annotated[Dimensionless | None, OPEN_FLOAT] = None
    """Standard deviation of the noise on the weights in hardware-aware training, relative to a tile's largest
    weight. (default: 0.1)"""
    weight_scaling: Annotated[Dimensionless | None, OPEN_FLOAT] = None
    """In situ and write-verify: what the largest initial weight of a kernel is mapped to on the devices, whose
    bounds lie near 1; a digital factor after the tile restores the weights. 0: no such factor. (default: 0.6)"""
    engine: Annotated[Engine | None, one_of(Engine), OPEN] = None
    """In situ: how pulses are computed. exact: one by one. aggregated: all pulses of a vector at once, with
    the same statistics. auto: whichever is faster. (default: auto)"""
    refresh: Annotated[Refresh | None, one_of(Refresh), OPEN] = None
    """In situ, on pairs of devices that pulses only raise (pcm): when they are read, and those that have filled up
    reset and written anew. when-full: a tile when its busiest pair can be full, by the pulses sent on its lines.
    every-batch: all tiles after every mini-batch, as aihwkit's preset does. (default: when-full)"""
    transfer_every: Annotated[int | None, OPEN_INT] = None
    """In situ, by rules that gather updates on fast devices or in digital and transfer them to slow ones (Tiki-Taka
    and its kin, mixed precision): vectors, or mini-batches where the device counts in those, between two transfers.
    (default: as the device says)"""
    write_every: Annotated[int | None, OPEN_INT] = None
    """Write-verify: steps after which the devices are written; the digital weights learn in between, but
    forward and backward go through the devices as they are. (default: 1)"""
    write_tolerance: Annotated[Dimensionless | None, OPEN_FLOAT] = None
    """Write-verify, and synchronising copies: error of a weight on the devices, whose largest is about 1, that
    the loop leaves alone. (default: 0.02)"""
    soft_sharing: Dimensionless = 0.0
    """Strength of a penalty on the squared difference between kernels of neighbouring locations; 0: none. On
    the digits, 10 makes kernels somewhat more alike, and 1000 much. Not in situ, where no digital gradient
    exists."""
    sleep_every: int = 0
    """Steps after which a sleep phase draws the kernels of all locations towards their mean; 0: never."""
    sleep_factor: Annotated[Dimensionless | None, OPEN_FLOAT] = None
    """How far a sleep phase moves a kernel: 0 not at all, 1 to the mean of all. (default: 1)"""
    backend: Backend = "batched"
    """batched: all tiles of a layer in one call. aihwkit: one tile after another, the slow reference, whose
    noise cannot be seeded: such runs do not repeat to the last bit."""

    epochs: Annotated[int | None, OPEN_INT] = None
    """Passes through the training images. (default: 60 for 8 x 8 images, 4 for 28 x 28, 10 for 32 x 32; with your own
    model by a rule that is printed: some 1,500 steps)"""
    batch_size: Annotated[int | None, OPEN_INT] = None
    """Images per step. (default: 64; with your own model fewer where there are few images)"""
    lr: Annotated[float | None, OPEN_FLOAT] = None
    """Learning rate: Adam's, or in situ and write-verify that of plain SGD. (default: 5e-3 for 8 x 8 images,
    4e-3 for 28 x 28, 1e-3 for 32 x 32; in situ and write-verify 1, and 0.3 for 32 x 32, in situ three times
    that for Tiki-Taka v1; with your own model by a rule that is printed, from the inputs of its layers)"""
    tuned: Annotated[Path | None, OPEN_PATH] = None
    """Take learning rate, batch size and interval of transfers from this file, which `xbar tune` has written."""
    schedule: Schedule = "cosine"
    """Learning rate over the run: constant, falling to zero along half a cosine, or in steps: a tenth after
    half of the run, a hundredth after three quarters. In situ it should fall: every pulse misses its size at
    random and differs upwards and downwards, so at a constant rate the weights keep jittering, and the loss
    stays on a floor that is proportional to the rate. Only fewer pulses lower it."""
    seed: int = 0
    """Every random stream of the run is derived from it: split, weights, order, noise, chips."""

    chips: int = 5
    """Chips to program; their spread is reported. In situ and write-verify: readings of the one chip that was
    trained."""
    times: Annotated[str | None, OPEN_NAME] = None
    """Times since programming, or since the end of a training in situ, in s, min, h, d, w, month (30 days) or
    y (365 days). (default: those of 1s,1h,1d,1month,1y for which the device was measured)"""
    compensation: Annotated[Compensation | None, one_of(Compensation), OPEN] = None
    """Drift compensation to compare with none: one scale per layer, per tile, or per column. (default:
    global)"""
    record_every: int = 0
    """In situ and write-verify: record what every n-th update does to the devices, for `xbar report`; 0 records
    nothing."""
    measure_every: int = 0
    """Also measure the validation accuracy after every so many steps, beside what had to happen in the hardware
    until then (curve.jsonl), which is what an accuracy costs. 0: after every epoch only."""

    reference: bool = False
    """Also train the same network digitally, with the same data order, and report it."""
    out: Path = field(default_factory=runs_folder)
    """Folder that holds the run folders."""
    force: bool = False
    """Start this run over, even if it is finished or can be resumed."""
    threads: Annotated[int | None, OPEN_INT] = None
    """Threads to compute with; another number can change the last digits. (default: OMP_NUM_THREADS, or all
    cores)"""
    processes: Annotated[int | None, OPEN_INT] = None
    """Processes that share the training, hardware-aware, in situ or by write-verify; see --spread. Under torchrun
    there are as many as it has started. (default: 1)"""
    spread: Annotated[Spread | None, OPEN, one_of(Spread)] = None
    """What is divided among the processes. tiles: each holds those of its locations, of every layer whose locations
    have kernels of their own, with the numbers of one process to the last bit; not one-way devices in situ (pcm).
    images: each computes its part of every batch, and all learn from all of it, with the numbers of one process but
    for the last digits of sums. (default: tiles where a layer has some that can be spread, else images)"""
    memory: Annotated[str | None, OPEN_NAME] = None
    """Most memory that a piece of work (a pass, an update, the writing or reading of a chip) takes beside weights,
    devices, inputs and outputs, for example 512MiB or 2GiB. No number depends on it. On the CPU, by batched tiles.
    (default: 2 MiB where work divides into parts, and what it takes where not)"""
    checkpoint_seconds: Seconds = 20.0
    """Time between checkpoints: the most that a power failure can cost."""
    torch_device: str = "cpu"
    """Where torch computes the training, which has nothing to do with --device: cpu, or cuda for a GPU, whose random
    numbers are others. Chips are programmed and read on the CPU. Not in situ, by write-verify, or with --backend
    aihwkit."""

    def __post_init__(self) -> None:
        """Refuse values that no run could use.

        Raises:
            ValueError: If a number lies outside its range.
        """
        for name in (
            "epochs",
            "batch_size",
            "chips",
            "train_images",
            "test_images",
            "threads",
            "transfer_every",
            "processes",
            "write_every",
            "wires_every",
        ):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be 1 or more, but is {value}. Give a larger number.")
        if self.tile_size is not None:
            lines_of_tile(self.tile_size)
        if self.lr is not None and not 0 < self.lr < float("inf"):
            raise ValueError(f"`lr` must be positive and finite, but is {self.lr}. Try 1e-3.")
        if self.lr is not None and self.tuned is not None:
            raise ValueError(
                f"`lr` must be left out with --tuned, but is {self.lr}. Leave out one of the two."
            )
        if self.fold is not None:
            parse_fold(self.fold)
        for name, what in (("absent_inputs", "inputs"), ("absent_weights", "weights")):
            share = getattr(self, name)
            if not 0 <= share < 1:
                raise ValueError(
                    f"`{name}` must lie in [0, 1), but is {share}. Give 0.3 for 30 % absent {what}."
                )
        if not 0 <= self.strength <= 1:
            raise ValueError(f"`strength` must lie in [0, 1], but is {self.strength}. Try 0.2.")
        for name, typical in (("weight_noise", 0.1), ("weight_scaling", 0.6), ("soft_sharing", 10)):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise ValueError(f"`{name}` must be 0 or more and finite, but is {value}. Try {typical}.")
        if self.write_tolerance is not None and not 0 < self.write_tolerance < float("inf"):
            raise ValueError(
                f"`write_tolerance` must be positive and finite, but is {self.write_tolerance}. Try 0.02."
            )
        if self.sleep_factor is not None and not 0 < self.sleep_factor <= 1:
            raise ValueError(f"`sleep_factor` must lie in (0, 1], but is {self.sleep_factor}. Try 1.")
        for name, nothing in (
            ("record_every", "to record nothing"),
            ("measure_every", "to measure after epochs only"),
            ("sleep_every", "never to sleep"),
        ):
            if getattr(self, name) < 0:
                raise ValueError(
                    f"`{name}` must be 0 or more, but is {getattr(self, name)}. Give 0 {nothing}."
                )
        if not self.checkpoint_seconds >= 0:
            raise ValueError(
                f"`checkpoint_seconds` must be 0 s or more, but is {self.checkpoint_seconds} s. Try 20."
            )
        if self.device == NO_DEVICE and self.mode != "digital":
            raise ValueError(
                "`device` must name a memory cell unless --mode is digital, but is 'none'. "
                "Choose one of `xbar devices`, or --mode digital."
            )
        if self.times is not None:
            parse_times(self.times)
        if self.torch_device != "cpu" and (self.mode in LEARNS_ON_DEVICES or self.backend == "aihwkit"):
            raise ValueError(
                f"`torch_device` must be cpu with --mode {self.mode} and --backend {self.backend}, but is "
                f"{self.torch_device}: pulses and aihwkit's tiles are computed on the CPU. Leave it out."
            )

    def refuse_idle(self) -> None:
        """Refuse what a user typed and nothing would come of.

        Raises:
            ValueError: If there is such an option. What only models and devices know, `resolve` refuses.
        """
        refuse_given_folder(self, self.data)
        if self.device == NO_DEVICE:
            reason = "nothing is programmed. Leave it out, or name a --device"
            refuse_given(self, OF_CHIPS, "with --device none", reason)


def parse_fold(text: str) -> tuple[int, int]:
    """Read which fold of how many, both counted from 1.

    Raises:
        ValueError: If there is no such fold.
    """
    index, _, folds = text.partition("/")
    if not (index.isdecimal() and folds.isdecimal() and 1 <= int(index) <= int(folds) and int(folds) >= 2):
        raise ValueError(
            f"`fold` must be one of some, as 2/5, the second of five, but is {text!r}. Write 2/5."
        )
    return int(index), int(folds)


def lines_of_tile(size: int | str) -> tuple[int, int]:
    """Read the size of the largest array: its word lines and its bit lines.

    Raises:
        ValueError: If they are no numbers, or below 1.

    Example:
        >>> lines_of_tile(256), lines_of_tile("256x128")
        ((256, 256), (256, 128))
    """
    parts = str(size).split("x")
    if len(parts) > 2 or not all(part.strip().removeprefix("-").isdecimal() for part in parts):
        raise ValueError(
            f"`tile_size` must be a number of lines, or word lines x bit lines as in 256x128, but is {size!r}. Write "
            "one of the two."
        )
    lines = int(parts[0]), int(parts[-1])
    if min(lines) < 1:
        raise ValueError(f"`tile_size` must be 1 or more, but is {size}. Give a larger number.")
    return lines


def tile_size_of(word_lines: int, bit_lines: int) -> int | str:
    """Write the size of the largest array in the one way that a run keeps; `lines_of_tile` reads it."""
    return word_lines if word_lines == bit_lines else f"{word_lines}x{bit_lines}"


def available_threads() -> int:
    """Return the number of threads to use unless told otherwise: OMP_NUM_THREADS, or all cores we may use."""
    wish = os.environ.get("OMP_NUM_THREADS", "")
    if wish.isdigit() and int(wish) > 0:
        return int(wish)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
