"""Training spread over processes by images: each computes its share of every batch, all learn from all of it."""

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ...aihwkit.adapter import NoiseManagementType
from ...distributed import communication
from ...distributed.images_of_process import ImagesOfProcess
from ...tiles.tile_array import TileArray
from ..chip import tile_arrays
from ..named_refusals import layer_name, naming, refuse_spread_layers


def spread_images(model: nn.Module) -> nn.Module:
    """Let every process compute an equal share of each batch, and all learn what one process would learn from it.

    For a model that is alike in all processes of `torch.distributed`. Wrap what it returns in torch's
    `DistributedDataParallel`, which averages the gradients of everything digital; the loss is to be a mean over the
    images of the process, and these the rank-th of as many equal, contiguous parts of the batch. Devices that learn
    in place are no part of that: every process gathers inputs and gradients of all images, and gives its devices the
    pulses of all of them, in the order and with the trains of one process, so that the chips stay alike to the last
    bit. Random numbers belong to images, ranges of inputs follow all of them.

    Numbers are those of one process up to the last digits of sums over images. Where bound management repeats
    products because the ADC clipped, the noise of the repetitions is another draw of the same law.

    Args:
        model: A model with analog layers; changed in place.

    Returns:
        The model.

    Raises:
        RuntimeError: If `torch.distributed` has not been started.
        ValueError: If a layer could not learn from all images alike.

    Example:
        Started by `torchrun --nproc-per-node 4 train.py`::

            torch.distributed.init_process_group("gloo")
            model = DistributedDataParallel(spread_images(convert_to_analog(network, rpu_config)))
            ...
            x, y = (part.chunk(4)[torch.distributed.get_rank()] for part in batch)
            loss = cross_entropy(model(x), y)
    """
    if not torch.distributed.is_initialized():
        raise RuntimeError(
            "images are spread over the processes of `torch.distributed`, which has not been started: call "
            'torch.distributed.init_process_group("gloo") first'
        )
    refuse_spread_layers(model, "trained on a share of the images, too,")
    for name, array in tile_arrays(model):
        with naming(layer_name(name)):
            _refuse(array)
    if communication.processes() > 1:
        for _, array in tile_arrays(model):
            array.images = ImagesOfProcess.here()
    # Devices, and all that is drawn once, are alike already and stay so; their context is no number.
    alike = [f"{name}.{inner}" for name, array in tile_arrays(model) for inner in _without_gradient(array)]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, alike)
    return model


def _without_gradient(array: TileArray) -> list[str]:
    trained = {name for name, value in array.named_parameters() if value is not array.analog_ctx}
    everything = (*array.named_parameters(), *array.named_buffers())
    return [name for name, _ in everything if name not in trained]


def _refuse(array: TileArray) -> None:
    io = array.rpu_config.forward
    if array.backend == "aihwkit" or array.memory.multiplier is not None:
        raise ValueError(
            "`backend` must be 'batched' in several processes, but is 'aihwkit', whose noise cannot be seeded: "
            "devices would not stay alike. Use `use_backend`."
        )
    if not io.is_perfect and io.noise_management == NoiseManagementType.AVERAGE_ABS_MAX:
        raise ValueError(
            "`forward.noise_management` must not be AVERAGE_ABS_MAX where processes share a batch, but is: its mean "
            "goes from image to image. Use ABS_MAX."
        )
    if array.quantised is not None:
        raise ValueError(
            "`rpu_config` must not quantise digitally where processes share a batch, but does: the ranges would "
            "follow the images of one process. Leave that out."
        )
