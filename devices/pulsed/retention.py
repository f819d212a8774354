"""What devices do when no pulse reaches them: decay, diffuse, drift; and what a reset does to them.

The laws of aihwkit's C++ (rpu_pulsed_device.cpp, weight_drifter.cpp), for all tiles at once. All of them act
in place on the weight that pulses act on, keep it within the bounds, and draw the write noise of every
device anew, where there is write noise. aihwkit decays and diffuses once after every mini-batch; resets and
drift only happen when called for.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..parts import normal_, uniform_
from ..units import Dimensionless
from .device_array import DeviceArray


@torch.no_grad()
def decay_(array: DeviceArray, alpha: Dimensionless = 1.0, *, rng: torch.Generator) -> None:
    """Let every weight relax once towards where a reset would lead it.

        w <- (w - w_reset) (1 - alpha / lifetime) + w_reset

    Args:
        array: The devices; those without a lifetime keep their weight.
        alpha: How many times the fabricated decay rate.
        rng: Draws the write noise.
    """
    if array.decay_scale is not None:
        weight = array.hidden_weight
        rest = 0.0 if array.reset_bias is None else array.reset_bias
        weight.copy_((weight - rest) * (1.0 + alpha * (array.decay_scale - 1.0)) + rest)
    _settle(array, rng)


@torch.no_grad()
def diffuse_(array: DeviceArray, *, rng: torch.Generator) -> None:
    """Let every weight take one random step, of a spread that belongs to the device.

    Args:
        array: The devices; those without diffusion keep their weight.
        rng: Draws one normal number for each device, then the write noise.
    """
    if array.diffusion_rate is not None:
        array.hidden_weight.addcmul_(array.diffusion_rate, _normal(array, rng))
    _settle(array, rng)


@torch.no_grad()
def reset_(
    array: DeviceArray,
    where: Bool[Tensor, "..."] | None = None,
    *,
    probability: Dimensionless = 1.0,
    rng: torch.Generator,
) -> None:
    """Reset devices: each goes to its own reset value, up to a miss of `reset_std`.

    Args:
        array: The devices.
        where: Which devices, a mask that broadcasts to (tiles, out, in): `(in,)` chooses word lines, or columns
            as aihwkit calls them. None resets all.
        probability: With which each of them is reset.
        rng: Draws a normal number for each device, a uniform one if `probability` is below 1, and the write
            noise.
    """
    weight = array.hidden_weight
    after = torch.zeros_like(weight) if array.reset_bias is None else array.reset_bias
    if array.device.reset_std > 0:
        after = after + array.device.reset_std * _normal(array, rng)
    chosen = torch.ones_like(weight, dtype=torch.bool) if where is None else where.expand_as(weight)
    if probability < 1:
        chosen = chosen & (uniform_(torch.empty_like(weight, device=rng.device), rng) < probability).to(
            weight.device
        )
    # The other devices lie within their bounds already.
    weight.copy_(torch.where(chosen, after, weight))
    _settle(array, rng)


@torch.no_grad()
def drift_(array: DeviceArray, delta_t: Dimensionless, *, rng: torch.Generator) -> None:
    """Let the weights drift as a power of the time since they were last changed.

        w(t) = w_0 (t / t_0) ** -nu + a ((t / t_0) ** -nu - 1)        for t > t_0, else w_0

    with a = `g_offset` * `wg_ratio` + `w_offset` of aihwkit's `DriftParameter`. A weight that differs by more
    than `reset_tol` from what the last drift left was written in between: it starts anew, from the end of this
    interval on. nu belongs to the device; `nu_std` scatters it from call to call, and `nu_k` lets it fall with
    the logarithm of the conductance. `w_noise_std` is added at every call and stays in the weight.

    Args:
        array: The devices; those without drift keep their weight.
        delta_t: The time since the last call, in the unit of the device's `drift.t_0` (aihwkit suggests ms).
        rng: Draws a normal number for each device for each of `nu_std` and `w_noise_std` that is not zero, and
            the write noise.

    Raises:
        ValueError: If time runs backwards, or `nu_k` meets a weight whose conductance is not positive.
    """
    if not 0 <= delta_t < float("inf"):
        raise ValueError(
            f"`delta_t` must be finite and at least 0, but is {delta_t}. "
            "Pass the time since the last drift, not a date."
        )
    if array.drift_nu is None:
        return
    drift, weight = array.device.drift, array.hidden_weight
    exponent = _exponent(array, rng)
    time = array.drift_time.add_(delta_t / drift.t_0)

    is_first = array.drifted_weight.isnan()
    is_written = (array.drifted_weight - weight).abs() > drift.reset_tol
    array.drift_start_time.copy_(torch.where(is_written, time, array.drift_start_time))
    array.drift_start_weight.copy_(torch.where(is_written | is_first, weight, array.drift_start_weight))

    factor = (time - array.drift_start_time).clamp(min=1.0) ** -exponent
    drifted = array.drift_start_weight * factor
    offset = drift.g_offset * drift.wg_ratio + drift.w_offset
    if abs(offset) >= drift.reset_tol:
        drifted += offset * (factor - 1.0)
    weight.copy_(torch.where(is_written, weight, drifted))
    if drift.w_noise_std > 0:
        weight.add_(_normal(array, rng), alpha=drift.w_noise_std)
    array.clip()
    array.drifted_weight.copy_(weight)
    array.redraw_write_noise(rng=rng)


def _exponent(array: DeviceArray, rng: torch.Generator) -> Float[Tensor, "tiles out_size in_size"]:
    drift, exponent = array.device.drift, array.drift_nu
    assert exponent is not None
    if drift.nu_std > 0:
        exponent = exponent * (1.0 + drift.nu_std * _normal(array, rng))
    if drift.nu_k != 0:
        conductance = (array.hidden_weight - drift.w_offset) / drift.wg_ratio + drift.g_offset
        if not bool((conductance > 0).all()):
            raise ValueError(
                "`drift` must map every weight to a positive conductance if `nu_k` is not 0, but the lowest is "
                f"{conductance.min().item():g}. Set `w_offset` to the weight of the conductance `g_offset`."
            )
        exponent = exponent - drift.nu_k * (conductance.log() - drift.log_g0)
    return exponent


def _settle(array: DeviceArray, rng: torch.Generator) -> None:
    array.clip()
    array.redraw_write_noise(rng=rng)


def _normal(array: DeviceArray, rng: torch.Generator) -> Float[Tensor, "tiles out_size in_size"]:
    noise = normal_(torch.empty_like(array.weight, device=rng.device), rng)
    return noise.to(array.weight.device)
