"""Input ranges found from examples after training."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from devices.units import Dimensionless

from ..aihwkit.adapter import InputRangeCalibrationType, NoiseManagementType
from ..reading.input_range import first_input_range
from ..tiles.tile_array import TileArray
from .chip import tile_arrays
from .named_refusals import layer_name, refuse_foreign_layers

_KEPT = (InputRangeCalibrationType.CACHE_QUANTILE, InputRangeCalibrationType.MAX)


class _Inputs:
    """What one array was given, as far as a strategy needs it."""

    def __init__(
        self, array: TileArray, strategy: InputRangeCalibrationType, quantile: Dimensionless, most: int
    ) -> None:
        self.strategy, self.quantile, self.most = strategy, quantile, most
        self.alpha = array.rpu_config.pre_post.input_range.init_std_alpha
        self.batches = 0
        self.kept = torch.zeros(array.tiles, 0, array.in_size)
        self.ranges = torch.zeros(array.tiles)

    def see(self, array: nn.Module, given: tuple[Any, ...]) -> None:
        """Look at a batch, (tiles, vectors, in); vectors of zeros tell nothing."""
        x = given[0].detach().to("cpu", torch.float32)
        lengths = x.abs().amax(dim=2)
        if self.strategy == InputRangeCalibrationType.MAX:
            self.ranges = torch.maximum(self.ranges, lengths.amax(dim=1))
            return
        if self.strategy == InputRangeCalibrationType.CACHE_QUANTILE:
            kept = torch.cat([self.kept, x[:, (lengths > 0).any(dim=0)]], dim=1)
            self.kept = kept[:, torch.randperm(kept.shape[1])[: self.most]]
            return
        values = torch.stack([self._of_batch(own[own.abs().amax(dim=1) > 0]) for own in x])
        self.ranges = (self.ranges * self.batches + values) / (self.batches + 1)
        self.batches += 1

    def _of_batch(self, x: Tensor) -> Tensor:
        if self.strategy == InputRangeCalibrationType.MOVING_STD:
            return self.alpha * x.std() if x.numel() > 1 else x.new_zeros(())
        return x.abs().flatten().quantile(self.quantile) if x.numel() else x.new_zeros(())

    def found(self) -> Tensor:
        """Return the range of every tile, (tiles,); 0 where nothing was seen."""
        if self.strategy != InputRangeCalibrationType.CACHE_QUANTILE:
            return self.ranges
        if self.kept.shape[1] == 0:
            return self.ranges
        return self.kept.abs().flatten(1).quantile(self.quantile, dim=1)


@torch.no_grad()
def calibrate_input_ranges(
    model: nn.Module,
    calibration_type: InputRangeCalibrationType,
    dataloader: Iterable[tuple[tuple[Any, ...], dict[str, Any]]],
    quantile: Dimensionless = 0.99995,
    max_samples: int = 1000,
    std_alpha: Dimensionless | None = None,
    force_all_layers: bool = True,
    verbose: bool = False,
) -> None:
    """Set the input range of every tile from examples, with aihwkit's strategies and arguments.

    Every tile gets a range of its own, from the magnitudes of the inputs that come to it. Meanwhile all tiles
    multiply perfectly, so that no noise and no range of a layer before plays a part. Noise management is
    off afterwards, as the ranges take its place.

    Args:
        model: A model with analog layers.
        calibration_type: aihwkit's `InputRangeCalibrationType`: MAX, CACHE_QUANTILE (a quantile of inputs that are
            kept), MOVING_QUANTILE (the mean over batches of their quantile), MOVING_STD (likewise of a multiple of
            the standard deviation), or NONE, which changes nothing.
        dataloader: Arguments and keyword arguments of the model, one pair for each batch.
        quantile: Fraction of the magnitudes that the range is to hold.
        max_samples: Vectors that CACHE_QUANTILE keeps for each tile, chosen by torch's generator.
        std_alpha: Multiple of the standard deviation; that of the configuration if None.
        force_all_layers: Whether layers get a range that have none, and noise management is switched off.
        verbose: Whether to print the ranges.

    Raises:
        ValueError: If a number is out of its range, or noise management is on and may not be switched off.
    """
    if calibration_type == InputRangeCalibrationType.NONE:
        return
    if not 0 < quantile <= 1 or max_samples < 1:
        raise ValueError(
            f"`quantile` must lie in (0, 1] and `max_samples` be at least 1, but are {quantile} and {max_samples}."
        )
    refuse_foreign_layers(model, "calibrated by calibrate_input_ranges")
    arrays = {
        name: array for name, array in tile_arrays(model) if force_all_layers or array.input_range is not None
    }
    for name, array in arrays.items():
        _prepare(name, array, std_alpha, force_all_layers)
    seen = {name: _Inputs(array, calibration_type, quantile, max_samples) for name, array in arrays.items()}
    handles = [array.register_forward_pre_hook(seen[name].see) for name, array in arrays.items()]
    was_perfect = {name: array.rpu_config.forward.is_perfect for name, array in arrays.items()}
    ranges = {name: array.input_range for name, array in arrays.items()}
    was_training = model.training
    try:
        model.eval()
        for array in arrays.values():
            array.rpu_config.forward.is_perfect = True
            _swap_range(array, None)
        for arguments, options in dataloader:
            model(*arguments, **options)
    finally:
        for handle in handles:
            handle.remove()
        for name, array in arrays.items():
            array.rpu_config.forward.is_perfect = was_perfect[name]
            _swap_range(array, ranges[name])
        model.train(was_training)
    for name, array in arrays.items():
        found = seen[name].found()
        assert array.input_range is not None
        array.set_input_range(torch.where(found > 0, found.to(array.input_range), array.input_range.abs()))
        settings = array.rpu_config.pre_post.input_range
        settings.init_value, settings.calibration_info = float(found.max()), calibration_type.value
        if verbose:
            print(f"Calibrated layer {layer_name(name)!r}: {found.min():.5g} to {found.max():.5g}.")


def _prepare(name: str, array: TileArray, std_alpha: Dimensionless | None, force: bool) -> None:
    """Give an array a range to be set, where it has none."""
    io, settings = array.rpu_config.forward, array.rpu_config.pre_post.input_range
    if io.noise_management != NoiseManagementType.NONE and not io.is_perfect:
        if not force:
            raise ValueError(
                f"layer {layer_name(name)!r}: `forward.noise_management` must be NONE where input ranges are "
                f"calibrated, but is {io.noise_management.name}. Set it, or `force_all_layers`."
            )
        io.noise_management = NoiseManagementType.NONE
    if std_alpha is not None:
        settings.init_std_alpha = std_alpha
    settings.init_from_data = 0
    if array.input_range is None:
        settings.enable, settings.learn_input_range = True, False
        first, _ = first_input_range(settings, array.tiles)
        assert first is not None
        array.input_range = first.to(array.weight.device)
        array.input_range_updates = torch.zeros(array.tiles, device=array.weight.device)


def _swap_range(array: TileArray, input_range: Tensor | None) -> None:
    """Put a range, a parameter or a buffer, in its place, or take it away without forgetting which it was."""
    table: Any = array._parameters if "input_range" in array._parameters else array._buffers
    table["input_range"] = input_range
