"""Every field of aihwkit's inference configurations has an effect, or is refused, or is listed here with a reason."""

import dataclasses

import pytest
import torch
from aihwkit.inference import (
    GlobalDriftCompensation,
    PCMLikeNoiseModel,
    ReRamWan2022NoiseModel,
)
from aihwkit.inference.compensation.drift import PerColumnDriftCompensation
from aihwkit.simulator.configs import (
    InferenceRPUConfig,
    QuantizedTorchInferenceRPUConfig,
    SingleRPUConfig,
    TorchInferenceRPUConfig,
    TorchInferenceRPUConfigIRDropT,
)
from aihwkit.simulator.configs.devices import ConstantStepDevice
from aihwkit.simulator.parameters.enums import (
    AnalogMVType,
    BoundManagementType,
    NoiseManagementType,
    PulseType,
    RPUDataType,
    WeightClipType,
    WeightModifierType,
    WeightNoiseType,
    WeightRemapType,
)
from aihwkit.simulator.parameters.io import IOParameters
from aihwkit.simulator.parameters.quantization import ActivationQuantConfig
from aihwkit.simulator.tiles.custom import CustomTile

from crossbar import AnalogLinear, TileArray, age_chip, program_chip, seed_noise

SEPARATE = {"forward.mv_type": AnalogMVType.POS_NEG_SEPARATE}
NARROW = {"forward.out_bound": 0.2}
ADDITIVE = {"forward.w_noise": 0.1, "forward.w_noise_type": WeightNoiseType.ADDITIVE_CONSTANT}
NONLINEAR = {"forward.out_nonlinearity": 0.5}
OFFSETS = {"forward.v_offset_std": 0.1}
RANGE = {
    "pre_post.input_range.enable": True,
    "pre_post.input_range.init_value": 1.0,
    "pre_post.input_range.init_from_data": 2,
}
FIRST_RANGE = {**RANGE, "pre_post.input_range.init_from_data": 0}
NOISY = {"modifier.type": WeightModifierType.ADD_NORMAL, "modifier.std_dev": 0.1}
STEPS = {"modifier.type": WeightModifierType.DISCRETIZE, "modifier.res": 0.3}
POLY = {"modifier.type": WeightModifierType.POLY, "modifier.std_dev": 0.5}
REMAP = {"remap.type": WeightRemapType.CHANNELWISE_SYMMETRIC}

HAVE_AN_EFFECT = [  # field, another value, and what makes it matter
    ("forward.is_perfect", True, {}),
    ("forward.mv_type", AnalogMVType.POS_NEG_SEPARATE, {"forward.w_read_asymmetry_dtod": 0.1}),
    ("forward.inp_bound", 0.5, {"forward.noise_management": NoiseManagementType.NONE}),
    ("forward.inp_noise", 0.1, {}),
    ("forward.inp_res", 0.1, {}),
    ("forward.inp_sto_round", True, {}),
    ("forward.inp_asymmetry", 0.3, SEPARATE),
    ("forward.out_bound", 0.2, {}),
    ("forward.out_noise", 0.5, {}),
    ("forward.out_noise_std", 0.5, {}),
    ("forward.out_res", 0.1, {}),
    ("forward.out_sto_round", True, {}),
    ("forward.out_scale", 2.0, {}),
    ("forward.out_asymmetry", 0.3, SEPARATE),
    ("forward.bound_management", BoundManagementType.NONE, NARROW),
    ("forward.noise_management", NoiseManagementType.NONE, {}),
    ("forward.w_noise", 0.2, ADDITIVE),
    ("forward.w_noise_type", WeightNoiseType.PCM_READ, ADDITIVE),
    ("forward.ir_drop", 1.0, {"forward.ir_drop_g_ratio": 1e3}),
    ("forward.ir_drop_g_ratio", 1e3, {"forward.ir_drop": 1.0}),
    ("forward.out_nonlinearity", 0.5, {}),
    ("forward.out_nonlinearity_std", 0.5, NONLINEAR),
    ("forward.slope_calibration", 0.5, NONLINEAR),
    ("forward.v_offset_std", 0.1, {}),
    ("forward.v_offset_w_min", -0.5, OFFSETS),
    ("forward.r_series", 0.1, {}),
    ("forward.w_read_asymmetry_dtod", 0.1, SEPARATE),
    ("forward.max_bm_factor", 2, NARROW),
    ("forward.max_bm_res", 0.01, NARROW),
    ("forward.bm_test_negative_bound", False, NARROW),
    ("forward.nm_thres", 0.1, {}),
    ("mapping.weight_scaling_omega", 0.5, {}),
    ("mapping.weight_scaling_columnwise", True, {"mapping.weight_scaling_omega": 0.5}),
    ("mapping.learn_out_scaling", True, {}),
    ("mapping.out_scaling_columnwise", True, {"mapping.learn_out_scaling": True}),
    ("mapping.max_input_size", 3, {}),
    ("mapping.max_output_size", 2, {}),
    ("mapping.digital_bias", False, {}),
    ("pre_post.input_range.enable", True, {}),
    ("pre_post.input_range.learn_input_range", False, RANGE),
    ("pre_post.input_range.init_value", 0.5, FIRST_RANGE),
    ("pre_post.input_range.init_from_data", 0, RANGE),
    ("pre_post.input_range.init_std_alpha", 1.0, RANGE),
    ("pre_post.input_range.decay", 0.5, {**FIRST_RANGE, "pre_post.input_range.input_min_percentage": 0.1}),
    ("pre_post.input_range.input_min_percentage", 0.1, {**FIRST_RANGE, "pre_post.input_range.decay": 0.5}),
    ("pre_post.input_range.gradient_scale", 3.0, FIRST_RANGE),
    (
        "pre_post.input_range.gradient_relative",
        False,
        {**FIRST_RANGE, "pre_post.input_range.init_value": 0.5},
    ),
    ("clip.type", WeightClipType.LAYER_GAUSSIAN, {"clip.sigma": 0.5}),
    ("clip.sigma", 0.5, {"clip.type": WeightClipType.LAYER_GAUSSIAN}),
    ("clip.fixed_value", 0.1, {"clip.type": WeightClipType.LAYER_GAUSSIAN}),
    ("remap.type", WeightRemapType.LAYERWISE_SYMMETRIC, {}),
    ("remap.remapped_wmax", 0.5, REMAP),
    ("remap.max_scale_range", 1.5, REMAP),
    ("remap.max_scale_ref", 2.0, {**REMAP, "remap.max_scale_range": 1.5}),
    ("modifier.type", WeightModifierType.ADD_NORMAL, {"modifier.std_dev": 0.1}),
    ("modifier.std_dev", 0.2, NOISY),
    ("modifier.enable_during_test", True, NOISY),
    ("modifier.rel_to_actual_wmax", False, {**NOISY, "modifier.assumed_wmax": 2.0}),
    ("modifier.assumed_wmax", 2.0, {**NOISY, "modifier.rel_to_actual_wmax": False}),
    ("modifier.res", 0.5, STEPS),
    ("modifier.sto_round", True, STEPS),
    ("modifier.dorefa_clip", 0.3, {**STEPS, "modifier.type": WeightModifierType.DOREFA}),
    ("modifier.pdrop", 0.5, NOISY),
    ("modifier.coeffs", [0.1, 0.2], POLY),
    ("modifier.g_max", 5.0, {**POLY, "modifier.type": WeightModifierType.PROG_NOISE}),
    ("noise_model", ReRamWan2022NoiseModel(), {}),
    ("drift_compensation", PerColumnDriftCompensation(), {}),
]

REFUSED = [
    ("backward", IOParameters(), {}, "`backward` must be perfect"),
    ("device", ConstantStepDevice(), {}, "`device` must be an IdealDevice .* ConstantStepDevice"),
    ("update.pulse_type", PulseType.STOCHASTIC_COMPRESSED, {}, "`update.pulse_type` must be NONE"),
    ("tile_class", CustomTile, {}, "`tile_class` must be aihwkit's own, but is CustomTile"),
    ("tile_array_class", CustomTile, {}, "`tile_array_class` must be aihwkit's own"),
    ("runtime.data_type", RPUDataType.DOUBLE, {}, "`runtime.data_type` must be FLOAT, but is DOUBLE"),
    ("runtime.offload_input", True, {}, "`runtime.offload_input` must be False"),
    ("runtime.offload_gradient", True, {}, "`runtime.offload_gradient` must be False"),
    (
        "mapping.weight_scaling_lr_compensation",
        True,
        {},
        "`mapping.weight_scaling_lr_compensation` must be False",
    ),
    ("pre_post.input_range.manage_output_clipping", True, RANGE, "manage_output_clipping"),
    (
        "pre_post.input_range.gradient_scale",
        2.0,
        {**RANGE, "pre_post.input_range.gradient_relative": False},
        "`input_range.gradient_scale` must be 1 unless",
    ),
    ("modifier.per_batch_sample", True, {}, "per_batch_sample"),
    ("modifier.copy_last_column", True, {}, "copy_last_column"),
    ("modifier.type", WeightModifierType.PCM_NOISE, {}, "PCM_NOISE"),
]

INERT = {  # in aihwkit, too
    "pre_post.input_range.output_min_percentage": "belongs to manage_output_clipping, which is refused",
    "pre_post.input_range.calibration_info": "a note",
    "runtime.on_the_fly_bindings": "settings are read anew at every use here",
    "update": "everything but the pulse type belongs to pulses, of which an inference tile has none",
    **{
        f"modifier.pcm_{name}": "belongs to PCM_NOISE, which is refused"
        for name in ("zero_thres", "t_inference", "prob_at_reset", "prob_at_gmax", "prob_at_random", "t0")
    },
}


def configured(settings):
    config = InferenceRPUConfig()
    for path, value in settings.items():
        *parts, name = path.split(".")
        part = config
        for step in parts:
            part = getattr(part, step)
        assert hasattr(part, name), path
        setattr(part, name, value)
    return config


def trace(settings):
    """What a layer computes in training, in evaluation, and on a chip a day old."""
    torch.manual_seed(0)
    layer = AnalogLinear(6, 5, rpu_config=configured(settings), seed=3)
    layer.set_weights(torch.randn(5, 6) * torch.tensor([0.2, 0.4, 0.5, 0.6, 1.0])[:, None], torch.zeros(5))
    x = torch.randn(8, 6)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.05)
    seed_noise(layer, 1)
    outputs = []
    for _ in range(4):
        optimizer.zero_grad()
        y = layer(x)
        y.square().sum().backward()
        optimizer.step()
        outputs.append(y.detach())
    layer.eval()
    seed_noise(layer, 2)
    outputs.append(layer(x).detach())
    program_chip(layer, seed=1)
    age_chip(layer, "1d", seed=2)
    outputs.append(layer(x).detach())
    return torch.stack(outputs)


@pytest.mark.parametrize(("path", "value", "base"), HAVE_AN_EFFECT, ids=[case[0] for case in HAVE_AN_EFFECT])
def test_the_setting_has_an_effect(path, value, base):
    assert torch.equal(trace(base), trace(base))
    assert not torch.equal(trace(base), trace({**base, path: value}))


@pytest.mark.parametrize(("path", "value", "base", "match"), REFUSED, ids=[case[0] for case in REFUSED])
def test_the_setting_is_refused(path, value, base, match):
    with pytest.raises(ValueError, match=match):
        TileArray(1, 5, 6, configured({**base, path: value}))


def test_no_field_is_forgotten():
    """A field of a newer aihwkit fails here until somebody decides about it."""
    known = {case[0] for case in (*HAVE_AN_EFFECT, *REFUSED)} | set(INERT)

    def leaves(part, prefix):
        for item in dataclasses.fields(part):
            path = f"{prefix}{item.name}"
            value = getattr(part, item.name)
            if path in known:
                continue
            if dataclasses.is_dataclass(value) and not isinstance(value, PCMLikeNoiseModel):
                yield from leaves(value, f"{path}.")
            else:
                yield path

    assert not list(leaves(InferenceRPUConfig(), ""))


def test_two_bits_are_four_values():
    """2-bit activations once came out as 511 values, without a word."""
    config = QuantizedTorchInferenceRPUConfig(act_quant_config=ActivationQuantConfig(n_bits=2))
    assert AnalogLinear(4, 3, rpu_config=config)(torch.randn(200, 4)).unique().numel() <= 4
    with pytest.raises(ValueError, match="IOParametersIRDropT"):
        AnalogLinear(4, 3, rpu_config=TorchInferenceRPUConfigIRDropT())


def test_classes_of_ones_own_are_refused_where_they_would_be_ignored():
    @dataclasses.dataclass
    class Own(InferenceRPUConfig):
        temperature: float = 300.0

    class Compensation(GlobalDriftCompensation):
        def readout(self, out_tensor):
            return out_tensor.max()

    with pytest.raises(ValueError, match=r"Own adds \['temperature'\]"):
        AnalogLinear(4, 3, rpu_config=Own())
    config = InferenceRPUConfig(drift_compensation=Compensation())
    with pytest.raises(
        ValueError, match="`drift_compensation` must be one of aihwkit's own, but is Compensation"
    ):
        AnalogLinear(4, 3, rpu_config=config)
    config = TorchInferenceRPUConfig(simulator_tile_class=CustomTile)
    with pytest.raises(ValueError, match="`simulator_tile_class` must be aihwkit's own"):
        AnalogLinear(4, 3, rpu_config=config)
    config = SingleRPUConfig()
    config.mapping.weight_scaling_lr_compensation = True
    with pytest.raises(ValueError, match="lr_compensation"):
        AnalogLinear(4, 3, rpu_config=config)
