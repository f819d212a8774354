"""aihwkit's configurations without converters or devices, completed by the settings that say so."""

from typing import Any

from .adapter import (
    CustomRPUConfig,
    FloatingPointRPUConfig,
    IOParameters,
    WeightClipParameter,
    WeightModifierParameter,
    WeightRemapParameter,
)

DIGITAL = (FloatingPointRPUConfig, CustomRPUConfig)
"""Configurations whose weights no device holds: `FloatingPointRPUConfig` computes perfectly, `CustomRPUConfig`
through converters."""


def complete_(rpu_config: Any) -> None:
    """Give a configuration in place the settings that its class leaves out, at values without an effect.

    A floating-point tile multiplies perfectly; neither it nor a custom tile modifies, clips, remaps or programs.

    Args:
        rpu_config: aihwkit's configuration; of other classes than `DIGITAL` it stays as it is.
    """
    if not isinstance(rpu_config, DIGITAL):
        return
    missing = {
        "forward": IOParameters(is_perfect=True),
        "backward": IOParameters(is_perfect=True),
        "modifier": WeightModifierParameter(),
        "clip": WeightClipParameter(),
        "remap": WeightRemapParameter(),
        "noise_model": None,
        "drift_compensation": None,
    }
    for name, value in missing.items():
        if not hasattr(rpu_config, name):
            setattr(rpu_config, name, value)
