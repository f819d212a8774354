"""The network of a run before its first step: digital, on tiles, or on devices that learn."""

from pathlib import Path

from torch import nn

from crossbar import convert_to_analog, load_model, use_gradient
from devices import get
from devices.units import Dimensionless

from ..data.datasets import DataSplit, Facts
from .networks.first_network import as_built_analog, first_network, take_off_tiles
from .networks.layers import is_analog, stays_digital
from .networks.start_from import take_weights
from .options.config import lines_of_tile
from .run import Run
from .run_folder import RunFolder
from .training_on_devices import Change, put_on_learning_tiles


def make_model(
    run: Run, change: Change | None = None, facts: Facts | None = None, *, start: nn.Module | None = None
) -> nn.Module:
    """Build the network of a run with its initial weights, on tiles unless it is digital.

    Args:
        run: The run.
        change: Changes the devices that a network learns on, before they are made.
        facts: What is known of the data; only a network of one's own asks for it.
        start: The digital network whose weights it starts with, in place of those that are drawn.

    Raises:
        ValueError: If `start` is another network.
    """
    network = first_network(run, facts)
    if start is not None:
        take_weights(network, start)
    if is_analog(network):
        return as_built_analog(network, run)
    if run.learns_on_devices:
        return put_on_learning_tiles(network, run, change)
    return put_on_tiles(network, run, run.weight_noise or 0.0) if run.mode == "hwa" else network


def put_on_tiles(network: nn.Module, run: Run, weight_noise: Dimensionless) -> nn.Module:
    """Put a digital network onto analog tiles with the run's device."""
    rpu_config = get(run.device).rpu_config(weight_noise=weight_noise)
    if run.tile_size is not None:
        mapping = rpu_config.mapping
        mapping.max_input_size, mapping.max_output_size = lines_of_tile(run.tile_size)
    analog = convert_to_analog(
        network,
        rpu_config,
        backend=run.backend,
        wires=run.wires_of_arrays,
        wires_every=run.wires_every or 1,
        exclude_modules=stays_digital(network),
    )
    use_gradient(analog, "exact")  # the digital network's learning rates keep their meaning
    return analog


def network_to_start_from(run: Run, data: DataSplit) -> nn.Module | None:
    """Return what the run has learned that this one starts from, as a digital network; None if weights are drawn."""
    if run.start_from is None:
        return None
    folder = RunFolder(Path(run.start_from))
    before = folder.read_config()
    return take_off_tiles(
        load_model(folder.model_file, make_model(before, facts=data.facts)), before, data.facts
    )
