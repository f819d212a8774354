"""Program a trained network onto chips, let them age, and measure the accuracy.

All chips hold the same weights; they differ in what programming, drift and reading add. A chip is the same
devices with and without drift compensation, so the two curves differ by the compensation alone.

A network that has learned in situ is one chip, and nothing is programmed: its devices are where training left them.
It is read several times as it is, and over time where its devices have a model of drift.
"""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, final

import torch
from torch import nn
from tqdm import tqdm

from crossbar import LocallyConnected2d, age_chip, erase_chip, program_chip, seed_noise
from devices import get
from devices.streams import derive_seed
from devices.units import Dimensionless, Seconds
from models import build

from .config import TrainConfig
from .data import DataSplit, Images
from .durations import parse_times
from .interruption import Interruption
from .training import loss_and_accuracy, put_on_tiles

# assumed: enough to average the spread of the inputs; a hardware-aware training takes its first 100 batches.
_CALIBRATION_BATCHES = 30


@final
@dataclass(frozen=True, kw_only=True)
class Result:
    """Accuracies of one network.

    Attributes:
        model: Name of the network.
        placement: Where the kernels of its local layers live.
        data: Name of the data set.
        mode: How it was trained: "hwa", "digital" or "in-situ".
        device: Memory cell that it was programmed onto or has learned on, or "none".
        compensation: Drift compensation that is compared with none; None where nothing ages.
        seed: The run's seed.
        test_images: Number of images behind each accuracy.
        digital_accuracy: Of the trained weights, computed in floating point without any device.
        times: Times since programming, or since the end of a training in situ.
        accuracy: For each compensation, for each chip, the accuracy at each time. In situ there is one chip, and
            these are its readings.
        as_trained: In situ: accuracy of the devices as training left them, for each reading.
    """

    model: str
    placement: str
    data: str
    mode: str
    device: str
    compensation: str | None
    seed: int
    test_images: int
    digital_accuracy: Dimensionless
    times: tuple[Seconds, ...] = ()
    accuracy: dict[str, list[list[Dimensionless]]]
    as_trained: tuple[Dimensionless, ...] = ()

    def mean_and_std(self, compensation: str) -> list[tuple[Dimensionless, Dimensionless | None]]:
        """Return mean and standard deviation over the chips at each time; one chip has no deviation."""
        return [mean_and_std(column) for column in zip(*self.accuracy[compensation], strict=True)]

    def to_json(self) -> dict[str, Any]:
        """Return the result in the types of JSON, mean and spread beside the single chips."""
        summary = {
            compensation: [
                {"time": t, "mean": mean, "std": std} for t, (mean, std) in zip(self.times, rows, strict=True)
            ]
            for compensation in self.accuracy
            for rows in [self.mean_and_std(compensation)]
        }
        return {
            **asdict(self),
            "times": list(self.times),
            "as_trained": list(self.as_trained),
            "summary": summary,
        }

    @classmethod
    def from_json(cls, values: Any) -> "Result":
        """Make a result from what `to_json` returned.

        Raises:
            ValueError: If it is damaged.
        """
        names = {item.name for item in fields(cls)}
        if not isinstance(values, dict) or not names <= set(values):
            raise ValueError(
                "`run` must hold an undamaged result.json, but fields are missing in it. Use --force."
            )
        kept: dict[str, Any] = {name: values[name] for name in names}
        return cls(**{**kept, "times": tuple(kept["times"]), "as_trained": tuple(kept["as_trained"])})


def mean_and_std(values: Sequence[Dimensionless]) -> tuple[Dimensionless, Dimensionless | None]:
    """Return mean and standard deviation; a single value has no deviation."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def evaluate(
    config: TrainConfig,
    model: nn.Module,
    data: DataSplit,
    interruption: Interruption,
) -> Result:
    """Measure a trained model on its device over time.

    Args:
        config: The resolved configuration, which names device, chips, times and compensation.
        model: The trained model; programmed devices are erased at the end.
        data: The images: the test images count, training images set input ranges where none were learned.
        interruption: Asked after each accuracy.

    Raises:
        RunInterrupted: If the evaluation was asked to stop.
    """
    assert config.model is not None
    assert config.placement is not None
    network = model if config.mode == "digital" else take_off_tiles(model, config)
    seed_noise(network, config.seed, "digital")
    _, digital_accuracy = loss_and_accuracy(network, data.test)
    times: tuple[Seconds, ...] = ()
    accuracy: dict[str, list[list[Dimensionless]]] = {}
    as_trained: list[Dimensionless] = []
    if config.mode == "in-situ":
        as_trained = _read_as_trained(config, model, data.test, interruption)
    if config.times is not None:
        times = parse_times(config.times)
        analog = _calibrated(network, config, data.train) if config.mode == "digital" else model
        accuracy = _age_chips(config, analog, data.test, times, interruption)
    return Result(
        model=config.model,
        placement=config.placement,
        data=config.data,
        mode=config.mode,
        device=config.device,
        compensation=config.compensation,
        seed=config.seed,
        test_images=len(data.test),
        digital_accuracy=digital_accuracy,
        times=times,
        accuracy=accuracy,
        as_trained=tuple(as_trained),
    )


@torch.no_grad()
def take_off_tiles(analog: nn.Module, config: TrainConfig) -> nn.Module:
    """Return the digital network with the weights that an analog one has learned."""
    assert config.model is not None
    network = build(config.model, config.placement)
    for name, layer in network.named_children():
        if isinstance(layer, LocallyConnected2d | nn.Linear):
            weight, bias = analog.get_submodule(name).get_weights()  # type: ignore[operator]
            layer.weight.copy_(weight)
            assert layer.bias is not None
            layer.bias.copy_(bias)
    return network


@torch.no_grad()
def _calibrated(network: nn.Module, config: TrainConfig, images: Images) -> nn.Module:
    """Put a digitally trained network onto tiles, which choose their input ranges from training images."""
    # The ranges must not see the noise that training would add to the weights.
    analog = put_on_tiles(network, config, weight_noise=0.0).train()
    seed_noise(analog, config.seed, "calibration")
    # The images lie in the order of the split, which was drawn at random.
    for pixels in torch.split(images.pixels, config.batch_size)[:_CALIBRATION_BATCHES]:
        analog(pixels)
    return analog.eval()


def _read_as_trained(
    config: TrainConfig, analog: nn.Module, test: Images, interruption: Interruption
) -> list[Dimensionless]:
    """Return the accuracy of the devices as training left them, read several times."""
    readings = []
    for reading in range(config.chips):
        seed_noise(analog, config.seed, "test", "as trained", reading)
        readings.append(loss_and_accuracy(analog, test)[1])
        interruption.stop_if_requested()
    return readings


def _age_chips(
    config: TrainConfig,
    analog: nn.Module,
    test: Images,
    times: tuple[Seconds, ...],
    interruption: Interruption,
) -> dict[str, list[list[Dimensionless]]]:
    compensations = list(dict.fromkeys(("none", config.compensation or "none")))
    noise_model = get(config.device).noise_model()
    accuracy: dict[str, list[list[Dimensionless]]] = {name: [] for name in compensations}
    total = config.chips * len(compensations) * len(times)
    with tqdm(total=total, desc="chips", unit="test", disable=None, dynamic_ncols=True) as bar:
        for chip in range(config.chips):
            for name, chips in accuracy.items():
                # What has learned in situ is one chip: its devices age alike in all readings.
                chip_seed = derive_seed(config.seed, "chip", 0 if config.mode == "in-situ" else chip)
                program_chip(analog, noise_model, seed=chip_seed, compensation=name)  # type: ignore[arg-type]
                chips.append([])
                for time in times:
                    age_chip(analog, time, seed=derive_seed(config.seed, "chip", chip))
                    seed_noise(analog, config.seed, "test", chip, repr(time))
                    _, value = loss_and_accuracy(analog, test)
                    chips[-1].append(value)
                    bar.update()
                    bar.set_postfix(accuracy=f"{value:.1%}")
                    interruption.stop_if_requested()
    erase_chip(analog)
    return accuracy
