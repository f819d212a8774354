"""Program a trained network onto chips, let them age, and measure the accuracy.

All chips hold the same weights; they differ in what programming, drift and reading add. A chip is the same
devices with and without drift compensation, so the two curves differ by the compensation alone.
"""

import statistics
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, final

import torch
from torch import nn
from tqdm import tqdm

from crossbar import LocallyConnected2d, age_chip, erase_chip, program_chip, seed_noise
from devices import get
from devices.streams import derive_seed
from devices.units import Dimensionless, Seconds
from models import build

from .config import NO_DEVICE, TrainConfig
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
        mode: How it was trained: "hwa" or "digital".
        device: Memory cell that it was programmed onto, or "none".
        compensation: Drift compensation that is compared with none.
        seed: The run's seed.
        test_images: Number of images behind each accuracy.
        digital_accuracy: Of the trained weights, computed in floating point without any device.
        times: Times since programming.
        accuracy: For each compensation, for each chip, the accuracy at each time.
    """

    model: str
    placement: str
    data: str
    mode: str
    device: str
    compensation: str
    seed: int
    test_images: int
    digital_accuracy: Dimensionless
    times: tuple[Seconds, ...] = ()
    accuracy: dict[str, list[list[Dimensionless]]]

    def mean_and_std(self, compensation: str) -> list[tuple[Dimensionless, Dimensionless | None]]:
        """Return mean and standard deviation over the chips at each time; one chip has no deviation."""
        columns = zip(*self.accuracy[compensation], strict=True)
        return [
            (statistics.fmean(column), statistics.stdev(column) if len(column) > 1 else None)
            for column in columns
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the result in the types of JSON, mean and spread beside the single chips."""
        summary = {
            compensation: [
                {"time": t, "mean": mean, "std": std} for t, (mean, std) in zip(self.times, rows, strict=True)
            ]
            for compensation in self.accuracy
            for rows in [self.mean_and_std(compensation)]
        }
        return {**asdict(self), "times": list(self.times), "summary": summary}

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
        return cls(**{**kept, "times": tuple(kept["times"])})


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
    if config.device != NO_DEVICE:
        assert config.times is not None
        times = parse_times(config.times)
        analog = model if config.mode == "hwa" else _calibrated(network, config, data.train)
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
    analog = put_on_tiles(network, replace(config, weight_noise=0.0)).train()
    seed_noise(analog, config.seed, "calibration")
    # The images lie in the order of the split, which was drawn at random.
    for pixels in torch.split(images.pixels, config.batch_size)[:_CALIBRATION_BATCHES]:
        analog(pixels)
    return analog.eval()


def _age_chips(
    config: TrainConfig,
    analog: nn.Module,
    test: Images,
    times: tuple[Seconds, ...],
    interruption: Interruption,
) -> dict[str, list[list[Dimensionless]]]:
    compensations = list(dict.fromkeys(("none", config.compensation)))
    noise_model = get(config.device).noise_model()
    accuracy: dict[str, list[list[Dimensionless]]] = {name: [] for name in compensations}
    total = config.chips * len(compensations) * len(times)
    with tqdm(total=total, desc="chips", unit="test", disable=None, dynamic_ncols=True) as bar:
        for chip in range(config.chips):
            for name, chips in accuracy.items():
                chip_seed = derive_seed(config.seed, "chip", chip)
                program_chip(analog, noise_model, seed=chip_seed, compensation=name)  # type: ignore[arg-type]
                chips.append([])
                for time in times:
                    age_chip(analog, time, seed=chip_seed)
                    seed_noise(analog, config.seed, "test", chip, repr(time))
                    _, value = loss_and_accuracy(analog, test)
                    chips[-1].append(value)
                    bar.update()
                    bar.set_postfix(accuracy=f"{value:.1%}")
                    interruption.stop_if_requested()
    erase_chip(analog)
    return accuracy
