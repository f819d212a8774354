"""From a wish to a run: fill in what was left open, and refuse what cannot run or would have no effect."""

from dataclasses import replace
from typing import Final

from devices.closest import choose
from devices.units import Dimensionless
from models import CATALOGUE, NETWORKS

from ...data.datasets import CLASSES, Facts, facts_of
from ...data.examples import Shape
from ...data.objective import objective_of
from ..networks.first_network import initial_network, is_own
from ..networks.layers import is_analog
from ..networks.own_network import AS_BUILT, digital_of
from ..networks.rules import Rules
from ..rates.learning_rates import learning_rate
from ..rates.tuned import at_tuned_rate
from ..run import Run
from ..team.memory import check_memory
from ..team.options import resolve_processes
from ..team.spreading import resolve_spread
from .config import NO_DEVICE, TrainConfig, available_threads
from .device_times import resolve_times
from .fault_options import resolve_faults
from .learning_defaults import resolve_in_situ, resolve_write_verify
from .own_networks import as_its_layers_say, wished_network
from .refusals import find_device, is_given, without_effect
from .sharing_options import resolve_absent, resolve_sharing, without_synchronisation
from .start_options import resolve_start
from .wire_options import resolve_wires

# For runs that end in minutes; their learning rates are in learning_rates.py. The paper: hundreds.
_BATCH_SIZE: Final = 64
_EPOCHS_OF_SHAPE: Final[dict[Shape, int]] = {(1, 8, 8): 60, (1, 28, 28): 4, (3, 32, 32): 10}
_OF_TEXT: Final = "char_lstm"
_FCN_OF_SHAPE: Final[dict[Shape, str]] = {
    NETWORKS[name].image_shape: name for name in NETWORKS if name.startswith("fcn_")
}
# assumed: as in aihwkit's examples of hardware-aware training.
_WEIGHT_NOISE: Final = 0.1


def resolve(wish: TrainConfig, known: Facts | Shape) -> Run:
    """Replace every "default" in a configuration by its value, and check what only models and devices know.

    Args:
        wish: What the user asked for.
        known: What is known of the data; for networks of ours the shape of an image is enough.

    Returns:
        The run, which leaves nothing open.

    Raises:
        ValueError: If model, placement or device do not exist or do not fit each other or the images, or if an
            option would have no effect.
    """
    if (wish.augment == "none") != (wish.strength == 0):
        raise ValueError(
            f"`augment` and `strength` must be given together, but are {wish.augment!r} and {wish.strength}. "
            "Write --augment translation --strength 0.2."
        )
    facts = facts_of(known)
    if wish.augment != "none" and len(facts.image_shape) != 3:
        raise ValueError(
            f"`augment` must be left out for inputs that are no images, but is {wish.augment!r}, and an input of "
            f"{wish.data!r} has the shape {facts.image_shape}. Leave it out."
        )
    processes = resolve_processes(wish)
    check_memory(wish)
    objective = objective_of(wish.loss, wish.metric, has_classes=not facts.is_regression)
    model = _resolve_model(wish, facts)
    placement = wish.placement or (AS_BUILT if is_own(model) else CATALOGUE[model].placement)
    wish = at_tuned_rate(wish, model, placement)
    network = wished_network(wish, model, placement, facts)
    wish = resolve_start(wish, model, network)
    wish = resolve_wires(
        resolve_faults(resolve_sharing(resolve_absent(wish, placement, network), placement, network))
    )
    if wish.mode == "in-situ":
        wish = resolve_in_situ(wish, placement)
    elif wish.mode == "write-verify":
        wish = resolve_write_verify(wish)
    else:
        wish = _resolve_in_software(wish)
    if is_analog(network) and wish.mode != "digital":
        wish = as_its_layers_say(wish)
    rules = None if model in NETWORKS else Rules.of(digital_of(network), facts, wish.batch_size)
    batch_size = wish.batch_size or (_BATCH_SIZE if rules is None else rules.batch_size)
    return Run.of(
        wish,
        model=model,
        placement=placement,
        loss=objective.loss,
        metric=objective.metric,
        epochs=wish.epochs or (_EPOCHS_OF_SHAPE[facts.image_shape] if rules is None else rules.epochs),
        batch_size=batch_size,
        lr=wish.lr
        or learning_rate(
            wish.mode, wish.device, facts.image_shape, adam=None if rules is None else rules.adam
        ),
        threads=wish.threads or max(1, available_threads() // processes),
        processes=processes,
        spread=resolve_spread(wish, network, processes, batch_size),
    )


def rules_of(run: Run, facts: Facts) -> list[str]:
    """Say which values of a run are defaults by a rule, and how they came about; nothing for those of the paper."""
    if run.model in NETWORKS:
        return []
    rules = Rules.of(initial_network(run, facts), facts, run.batch_size)
    usual = Rules.of(initial_network(run, facts), facts)
    rules = replace(rules, batch_size=usual.batch_size)
    return rules.sentences(
        epochs=run.epochs, batch_size=run.batch_size, lr=run.lr, uses_sgd=run.learns_on_devices
    )


def digital_reference(run: Run, known: Facts | Shape) -> Run:
    """Return the same training without devices: the same network, images, order and number of steps.

    Args:
        run: The run on devices, or for them.
        known: What is known of the data.
    """
    facts, lr = facts_of(known), run.lr
    if run.learns_on_devices:  # the learning rate of plain SGD through devices is none for Adam
        adam = None
        if run.model not in NETWORKS:
            adam = Rules.of(initial_network(run, facts), facts, run.batch_size).adam
        lr = learning_rate("digital", NO_DEVICE, facts.image_shape, adam=adam)
    return replace(
        run,
        mode="digital",
        placement=without_synchronisation(run.placement),
        device=NO_DEVICE,
        faults=None,
        wires=None,
        wires_every=None,
        tile_size=None,
        lr=lr,
        weight_noise=None,
        weight_scaling=None,
        engine=None,
        refresh=None,
        transfer_every=None,
        write_every=None,
        write_tolerance=None,
        record_every=0,
        measure_every=0,
        times=None,
        compensation="global",  # as in every digital run; it compensates nothing, and belongs to the run's name
        reference=False,
        processes=1,
        spread=None,
        memory=None,
    )


def _resolve_in_software(wish: TrainConfig) -> TrainConfig:
    """Fill in what a training in software leaves open, digital or hardware-aware, and refuse what it cannot use."""
    for name in ("weight_scaling", "engine", "refresh", "transfer_every", "record_every"):
        if is_given(wish, name):
            raise without_effect(name, wish, "only learning by pulses has it. Use --mode in-situ")
    for name in ("write_every", "write_tolerance"):
        if is_given(wish, name):
            raise without_effect(name, wish, "nothing is written while it trains. Use --mode write-verify")
    if wish.mode == "digital" and wish.weight_noise is not None:
        raise without_effect("weight_noise", wish, "digital training has no noise. Use --mode hwa")
    if wish.mode == "digital" and wish.reference:
        raise without_effect("reference", wish, "the run is its own digital reference")
    times = None
    if wish.device != NO_DEVICE:
        device = find_device(wish.device)
        device.noise_model()  # refuses devices that are known for learning only
        times = resolve_times(wish.times, device)
    return replace(
        wish,
        weight_noise=_noise_in_training(wish),
        times=times,
        compensation=wish.compensation or "global",
    )


def _resolve_model(wish: TrainConfig, facts: Facts) -> str:
    image_shape = facts.image_shape
    model = wish.model or (_OF_TEXT if is_like_a_text(facts) else _FCN_OF_SHAPE.get(image_shape))
    if model is not None and is_own(model):
        return model
    if model is None:
        raise ValueError(
            f"`data` must have images of {', '.join(map(str, _FCN_OF_SHAPE))} (channels, height, width), but "
            f"{wish.data!r} has {image_shape}. Resize the images, or bring a network of your own, --model "
            "my_network.py:build."
        )
    if model not in CATALOGUE:
        raise ValueError(
            f"`model` must be one of {', '.join(sorted(CATALOGUE))}, or a function of your own as in "
            f"my_network.py:build, but is {model!r}. {choose(model, CATALOGUE)}"
        )
    if CATALOGUE[model].reads_tokens:
        if not is_like_a_text(facts):
            raise ValueError(
                f"`data` must be a text for {model}, sentences or a file ending in .txt, or whole numbers (number, "
                f"positions) from 0 with a class for each position, but {wish.data!r} has {facts}. Choose another "
                "--data or --model."
            )
        return model
    if CATALOGUE[model].image_shape != image_shape:
        raise ValueError(
            f"`model` must fit the images of {wish.data!r}, {image_shape}, but {model} expects "
            f"{CATALOGUE[model].image_shape} (channels, height, width). Choose another --model or --data."
        )
    if facts.is_regression or (facts.classes or 0) > CLASSES or facts.target_shape:
        raise ValueError(
            f"`model` must have an output for every class of {wish.data!r}, which has {facts}, but {model} has "
            f"{CLASSES} for as many classes. Bring a network of your own, --model my_network.py:build."
        )
    return model


def is_like_a_text(facts: Facts) -> bool:
    """Say whether data are sequences of tokens with a class for each position, as those of a text are."""
    return (
        facts.tokens is not None
        and facts.tokens > 0
        and len(facts.image_shape) == 1
        and facts.target_shape == facts.image_shape
        and facts.classes is not None
    )


def _noise_in_training(wish: TrainConfig) -> Dimensionless | None:
    if wish.mode != "hwa":
        return None
    return _WEIGHT_NOISE if wish.weight_noise is None else wish.weight_noise
