"""A setting that would have no effect is refused, by name, never ignored."""

import pytest
from aihwkit.simulator.parameters.io import IOParametersIRDropT

from crossbar import TileArray
from crossbar.aihwkit.adapter import (
    AnalogMVType,
    BoundManagementType,
    InferenceRPUConfig,
    WeightClipType,
    WeightModifierType,
    WeightNoiseType,
)


def refuse(match, error=ValueError, **changes):
    config = InferenceRPUConfig()
    for path, value in changes.items():
        part, name = path.split("__")
        setattr(getattr(config, part), name, value)
    with pytest.raises(error, match=match):
        TileArray(1, 2, 2, config)


def test_every_unsupported_setting_is_named():
    refuse("`mv_type`.*SPLIT_MODE", forward__mv_type=AnalogMVType.SPLIT_MODE)
    refuse("`bound_management`.*SHIFT", forward__bound_management=BoundManagementType.SHIFT)
    refuse("`w_noise_type`.*0.1", forward__w_noise=0.1, forward__w_noise_type=WeightNoiseType.NONE)
    refuse("`out_noise`.*-0.1", forward__out_noise=-0.1)
    refuse("`inp_bound` must be 1 .* 2.0", forward__inp_bound=2.0)
    refuse("PCM_NOISE", modifier__type=WeightModifierType.PCM_NOISE)
    refuse("`modifier.per_batch_sample`", modifier__per_batch_sample=True)
    refuse("`modifier.pdrop`.*0.2", modifier__pdrop=0.2)
    refuse("`modifier.copy_last_column`", modifier__copy_last_column=True)
    refuse("`modifier.res`.*64", modifier__type=WeightModifierType.DISCRETIZE, modifier__res=64)
    refuse("`clip.fixed_value`.*-1", clip__type=WeightClipType.FIXED_VALUE)
    refuse("`remap.max_scale_range`.*1.5", remap__max_scale_range=1.5)


def test_other_kinds_of_configuration_are_refused():
    with pytest.raises(TypeError, match=r"must be one of .*FloatingPointRPUConfig.*, but is object"):
        TileArray(1, 2, 2, object())
    config = InferenceRPUConfig()
    config.forward = IOParametersIRDropT()
    with pytest.raises(ValueError, match=r"IOParametersIRDropT.*ir_drop_segments"):
        TileArray(1, 2, 2, config)


def test_sizes_backends_and_compensations_are_checked():
    with pytest.raises(ValueError, match="at least 1, but are 0, 2, 2"):
        TileArray(0, 2, 2)
    with pytest.raises(ValueError, match="'batched' or 'aihwkit', but is 'fast'"):
        TileArray(1, 2, 2, backend="fast")
    array = TileArray(1, 2, 2)
    with pytest.raises(ValueError, match="but is 'local'"):
        array.program(seed=0, compensation="local")
    with pytest.raises(RuntimeError, match="call `program` before `at`"):
        array.at(1.0)
