"""One linear layer that learns a target on devices whose reference is wrong: all references at once.

The layers of one rule and one number of states are tiles of one array: each has its own devices, its own error of the
reference and its own target, and all are computed in one call.
"""

import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from crossbar.aihwkit.adapter import IOParameters, PresetIOParameters, build_config
from crossbar.tiles.tile_array import Backend, TileArray
from devices.aihwkit_adapter import SoftBoundsReferenceDevice
from devices.streams import derive_seed, generator
from devices.units import Dimensionless

Rule = Literal["sgd", "ttv2", "chopped-ttv2", "agad"]
_IO: Final = {
    "preset": PresetIOParameters,
    "default": IOParameters,
    "perfect": partial(IOParameters, is_perfect=True),
}
_LOOKS: Final = 20  # at the weights in the course of the training


@final
@dataclass(frozen=True, kw_only=True)
class Learned:
    """What came of the layers.

    Attributes:
        sigma_r: Spread of the reference of every layer.
        construction: Which of the constructions it is.
        vectors: How many vectors had been learned at each look.
        errors: For each layer the weight error at each look: the root of the mean squared difference between weights
            and target, in units of the nominal bound.
        cpu_seconds: Processor time.
    """

    sigma_r: list[Dimensionless]
    construction: list[int]
    vectors: list[int]
    errors: list[list[Dimensionless]]
    cpu_seconds: Dimensionless


def device_of(
    settings: Mapping[str, Any], states: int, *, sigma_r: Dimensionless = 0.0, is_slow: bool = False
) -> SoftBoundsReferenceDevice:
    """Describe the device: soft bounds, read against a reference at its symmetry point.

    A step is the range 2 over the number of states.

    Args:
        settings: Of the table.
        states: Steps from bound to bound.
        sigma_r: Spread of the error of the reference. Single layers add theirs once they are made, so that several
            fit into one array.
        is_slow: Whether it keeps the weights, and has bounds of its own spread.
    """
    bound_dtod = settings["slow_bound_dtod" if is_slow else "bound_dtod"]
    return SoftBoundsReferenceDevice(
        dw_min=2 / states,
        w_max=settings["w_max"],
        w_min=-settings["w_max"],
        w_max_dtod=bound_dtod,
        w_min_dtod=bound_dtod,
        dw_min_dtod=settings["dw_min_dtod"],
        dw_min_dtod_log_normal=True,
        dw_min_std=settings["dw_min_std"],
        mult_noise=False,
        up_down_dtod=settings["up_down_dtod"],
        subtract_symmetry_point=True,
        reference_std=sigma_r,
    )


def configuration_of(
    rule: Rule, settings: Mapping[str, Any], states: int, sigma_r: Dimensionless = 0.0, **more: Any
) -> Any:
    """Return aihwkit's configuration of a rule, with the settings of the table in place of its defaults.

    Args:
        rule: The learning rule.
        settings: Of the table.
        states: Steps from bound to bound.
        sigma_r: Spread of the error of the reference of the devices that the gradient's pulses reach.
        more: Further fields of the configuration.
    """
    device = device_of(settings, states, sigma_r=sigma_r)
    config: Any = build_config(rule, device, io_parameters=_IO[settings["io"]], **more)
    config.update.desired_bl = settings["train_length"]
    if rule == "sgd":
        return config
    compound = config.device
    compound.unit_cell_devices = [device, device_of(settings, states, is_slow=True)]
    compound.transfer_every = settings["transfer_every"]
    compound.units_in_mbatch = False
    compound.fast_lr, compound.auto_scale = settings["fast_lr"], True
    compound.auto_granularity = settings["auto_granularity"]
    if rule != "ttv2":
        compound.in_chop_prob = settings["chopper_probability"]
        if "choppers" in settings:
            compound.in_chop_random = settings["choppers"] == "random"
    if rule == "agad":
        compound.tail_weightening = settings["tail_weightening"]
        compound.experimental_correct_accumulation = settings.get("corrects_reads", False)
    return config


def learn(
    rule: Rule,
    settings: Mapping[str, Any],
    states: int,
    sigmas: Sequence[Dimensionless],
    *,
    backend: Backend = "batched",
    seed: int = 0,
) -> Learned:
    """Let all layers of a rule learn, side by side, to the end.

    Construction c has the same target, the same vectors and, up to its factor sigma_r, the same error of the
    reference on every one of its layers. With `different_vectors` in the settings, a layer knows only so many
    vectors, of which each is learned again and again: where they are short, the target pulls weakly, and what noise
    and a wrong reference do weighs more.

    Args:
        rule: The learning rule.
        settings: Of the table, with `steps`.
        states: Steps from bound to bound.
        sigmas: Spreads of the error of the reference.
        backend: "aihwkit" to learn on real aihwkit tiles with the same devices.
        seed: Of targets, vectors, devices and noise.
    """
    begin = time.process_time()
    constructions, batch, steps = settings["constructions"], settings["batch"], settings["steps"]
    outs, ins = settings["outputs"], settings["inputs"]
    shape = constructions, outs, ins
    array = TileArray(
        len(sigmas) * constructions,
        outs,
        ins,
        deepcopy(configuration_of(rule, settings, states)),
        seed=derive_seed(seed, "layers", rule, states),
    ).train()
    unit = torch.randn(shape, generator=generator(seed, "reference"))
    _shift_reference(array, torch.cat([sigma * unit for sigma in sigmas]))
    if backend == "aihwkit":
        array.use_backend(backend)
    target = settings["target_std"] * torch.randn(shape, generator=generator(seed, "target"))
    targets = target.repeat(len(sigmas), 1, 1)
    draws = generator(seed, "vectors")
    array.set_learning_rate(settings["learning_rate"])
    known = settings.get("different_vectors", 0)
    pool = torch.randn(constructions, known, ins, generator=draws) if known else None
    looks = sorted({steps * look // _LOOKS for look in range(1, _LOOKS + 1)} - {0})
    errors: list[Tensor] = []
    with torch.no_grad():
        for step in range(1, steps + 1):
            if pool is None:
                x = torch.randn(constructions, batch, ins, generator=draws)
            else:
                x = pool[:, torch.randint(known, (batch,), generator=draws)]
            x = x.repeat(len(sigmas), 1, 1)
            d = (array(x) - torch.bmm(x, targets.mT)) / batch  # the gradient of half the mean squared error
            array.update(x.transpose(0, 1).contiguous(), d.transpose(0, 1).contiguous())
            array.post_update_step()
            if step in looks:
                errors.append((array.kernels_weight() - targets).square().mean(dim=(1, 2)).sqrt())
    of_layers = (torch.stack(errors, dim=1) / settings["w_max"]).tolist()
    return Learned(
        sigma_r=[sigma for sigma in sigmas for _ in range(constructions)],
        construction=[number for _ in sigmas for number in range(constructions)],
        vectors=[step * batch for step in looks],
        errors=of_layers,
        cpu_seconds=time.process_time() - begin,
    )


@torch.no_grad()
def _shift_reference(array: TileArray, error: Float[Tensor, "tiles out in"]) -> None:
    """Add an error to the reference of the devices that the gradient's pulses reach, and set all weights to zero."""
    assert array.in_situ is not None
    first = next(iter(array.in_situ.cells.device_arrays().values()))
    assert first.reference is not None
    first.reference.add_(error)
    array.set_kernels(torch.zeros(error.shape), omega=0.0)
