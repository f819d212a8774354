"""Replace what a user left open by its value, and refuse what cannot run or would have no effect."""

from dataclasses import replace
from typing import Final

from devices.units import Dimensionless
from models import NETWORKS

from .config import NO_DEVICE, TrainConfig, available_threads
from .device_times import resolve_times
from .fault_options import resolve_faults
from .learning_defaults import resolve_in_situ, resolve_write_verify
from .learning_rates import learning_rate
from .refusals import find_device, is_given, without_effect
from .sharing_options import resolve_sharing, without_synchronisation
from .wire_options import resolve_wires

# For runs that end in minutes; their learning rates are in learning_rates.py. The paper: hundreds.
_EPOCHS_OF_SHAPE: Final = {(1, 8, 8): 60, (1, 28, 28): 4, (3, 32, 32): 10}
_FCN_OF_SHAPE: Final = {NETWORKS[name].image_shape: name for name in NETWORKS if name.startswith("fcn_")}
# assumed: as in aihwkit's examples of hardware-aware training.
_WEIGHT_NOISE: Final = 0.1


def resolve(config: TrainConfig, image_shape: tuple[int, int, int]) -> TrainConfig:
    """Replace every "default" in a configuration by its value, and check what only models and devices know.

    Args:
        config: What the user asked for.
        image_shape: Channels, height and width of the images.

    Returns:
        A configuration that says all about the run.

    Raises:
        ValueError: If model, placement or device do not exist or do not fit each other or the images, or if an
            option would have no effect.
    """
    if (config.augment == "none") != (config.strength == 0):
        raise ValueError(
            f"`augment` and `strength` must be given together, but are {config.augment!r} and {config.strength}. "
            "Write --augment translation --strength 0.2."
        )
    model = _resolve_model(config, image_shape)
    placement = config.placement or NETWORKS[model].placement
    config = resolve_wires(resolve_faults(resolve_sharing(config, model, placement)))
    if config.vcp and placement != "free":
        raise ValueError(
            f"`vcp` must be 0 with the placement {placement!r}, but is {config.vcp}: kernels that are shared between "
            "locations have the same inputs everywhere. Use an FCN, placement free."
        )
    config = replace(
        config,
        model=model,
        placement=placement,
        epochs=config.epochs or _EPOCHS_OF_SHAPE[image_shape],
        threads=config.threads or available_threads(),
    )
    if config.mode == "in-situ":
        return resolve_in_situ(config, image_shape)
    if config.mode == "write-verify":
        return resolve_write_verify(config, image_shape)
    for name in ("weight_scaling", "engine", "record_every"):
        if is_given(config, name):
            raise without_effect(name, config, "only learning by pulses has it. Use --mode in-situ")
    for name in ("write_every", "write_tolerance"):
        if is_given(config, name):
            raise without_effect(name, config, "nothing is written while it trains. Use --mode write-verify")
    if config.mode == "digital" and config.weight_noise is not None:
        raise without_effect("weight_noise", config, "digital training has no noise. Use --mode hwa")
    if config.mode == "digital" and config.reference:
        raise without_effect("reference", config, "the run is its own digital reference")
    times = None
    if config.device != NO_DEVICE:
        device = find_device(config.device)
        device.noise_model()  # refuses devices that are known for learning only
        times = resolve_times(config.times, device)
    return replace(
        config,
        lr=config.lr or learning_rate(config.mode, config.device, image_shape),
        weight_noise=_noise_in_training(config),
        times=times,
        compensation=config.compensation or "global",
    )


def digital_reference(config: TrainConfig, image_shape: tuple[int, int, int]) -> TrainConfig:
    """Return the same training without devices: the same network, images, order and number of steps.

    Args:
        config: A resolved configuration.
        image_shape: Channels, height and width of the images.
    """
    assert config.placement is not None
    by_sgd = config.mode in ("in-situ", "write-verify")
    digital = replace(
        config,
        mode="digital",
        placement=without_synchronisation(config.placement),
        device=NO_DEVICE,
        faults=None,
        wires=None,
        wires_every=None,
        tile_size=None,
        lr=None if by_sgd else config.lr,  # that of plain SGD through devices is none for Adam
        weight_noise=None,
        weight_scaling=None,
        engine=None,
        write_every=None,
        write_tolerance=None,
        record_every=0,
        times=None,
        compensation=None,
        reference=False,
    )
    return resolve(digital, image_shape)


def _resolve_model(config: TrainConfig, image_shape: tuple[int, int, int]) -> str:
    model = config.model or _FCN_OF_SHAPE.get(image_shape)
    if model is None:
        raise ValueError(
            f"`data` must have images of {', '.join(map(str, _FCN_OF_SHAPE))} (channels, height, width), but "
            f"{config.data!r} has {image_shape}. Resize the images."
        )
    if model not in NETWORKS:
        raise ValueError(
            f"`model` must be one of {', '.join(sorted(NETWORKS))}, but is {model!r}. Choose one."
        )
    if NETWORKS[model].image_shape != image_shape:
        raise ValueError(
            f"`model` must fit the images of {config.data!r}, {image_shape}, but {model} expects "
            f"{NETWORKS[model].image_shape} (channels, height, width). Choose another --model or --data."
        )
    return model


def _noise_in_training(config: TrainConfig) -> Dimensionless | None:
    if config.mode != "hwa":
        return None
    return _WEIGHT_NOISE if config.weight_noise is None else config.weight_noise
