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
    """Let every process compute its share of each batch, and all learn what one process would learn from it.

    For a model that is alike in all processes of `torch.distributed`. Wrap what it returns in torch's
    `DistributedDataParallel`, which averages the gradients of everything digital; the loss is to be a mean over the
    images of the process, and these the rank-th of as many equal, contiguous parts of the batch (`own_images` for a
    batch that does not divide). Devices that learn in place are no part of that: every process gathers inputs and
    gradients of all images, and gives its devices the pulses of all of them, in the order and with the trains of one
    process, so that the chips stay alike to the last bit. Random numbers belong to images, ranges of inputs follow
    all of them.

    Numbers are those of one process up to the last digits of sums over images. Where bound management repeats
    products because the ADC clipped, the noise of the repetitions is another draw of the same law.

    Args:
        model: A model with analog layers; changed in place.

    Returns:
        The model.

    Raises:
        RuntimeError: If `torch.distributed` has not been started.
        ValueError: If a layer could not learn from all images alike, or normalises over the images of a batch.

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
    refuse_norms(model)
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


def own_images(model: nn.Module, batch: int) -> slice:
    """Say how many images the next batches have, and return which of them this process computes: near-equal parts.

    Where the parts are unequal, a mean over the images of a process has to count by how many they are: multiply it
    by number of own images * processes / batch, so that `DistributedDataParallel` averages to the mean over all.

    Args:
        model: A model from `spread_images`.
        batch: Images of the whole batch.

    Raises:
        ValueError: If there are fewer images than processes.
    """
    if batch < communication.processes():
        raise ValueError(
            f"`batch` must have an image for each of {communication.processes()} processes, but has {batch}. Use "
            "larger batches, or fewer processes."
        )
    for _, array in tile_arrays(model):
        if array.images is not None:
            array.images = array.images.in_batch_of(batch)
    starts = communication.shares(batch, communication.processes())
    return slice(*starts[communication.rank() :][:2])


def gather_images(model: nn.Module) -> None:
    """Let every process compute all images of what it is given again, as before `spread_images`.

    Args:
        model: A model from `spread_images`; its weights and devices are alike in all processes, and stay.
    """
    for _, array in tile_arrays(model):
        array.images = None


def refuse_norms(model: nn.Module) -> None:
    """Refuse layers that normalise over a batch of which this process computes a part.

    Raises:
        ValueError: If there is one.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._NormBase) and (
            module.track_running_stats or isinstance(module, nn.modules.batchnorm._BatchNorm)
        ):
            raise ValueError(
                f"`model` must not normalise over the images of a batch where processes share it, but {name!r} is "
                f"a {type(module).__name__}, and torch's SyncBatchNorm, which would see all of them, needs GPUs. Use "
                "GroupNorm or LayerNorm, spread tiles, or use one process."
            )


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
