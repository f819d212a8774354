"""The vocabulary of aihwkit that the devices package speaks: noise models, converters, configurations.

aihwkit counts conductances in µS and times in seconds since the end of programming, as we do, so nothing is
converted here.
"""

from aihwkit.inference.converter.base import BaseConductanceConverter
from aihwkit.inference.converter.conductance import (
    CustomPairConductanceConverter,
    DualPairConductanceConverter,
    NPairConductanceConverter,
    SingleDeviceConductanceConverter,
    SinglePairConductanceConverter,
)
from aihwkit.inference.noise.base import BaseNoiseModel
from aihwkit.inference.noise.custom import StateIndependentNoiseModel
from aihwkit.inference.noise.hermes import HermesNoiseModel
from aihwkit.inference.noise.pcm import CustomDriftPCMLikeNoiseModel, PCMLikeNoiseModel
from aihwkit.inference.noise.reram import ReRamCMONoiseModel, ReRamWan2022NoiseModel
from aihwkit.simulator import presets as training_presets
from aihwkit.simulator.configs import (
    DigitalRankUpdateRPUConfig,
    InferenceRPUConfig,
    SingleRPUConfig,
    UnitCellRPUConfig,
)
from aihwkit.simulator.configs.devices import (
    ConstantStepDevice,
    ExpStepDevice,
    LinearStepDevice,
    OneSidedUnitCell,
    PiecewiseStepDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    PulsedDevice,
    SoftBoundsDevice,
    SoftBoundsPmaxDevice,
    SoftBoundsReferenceDevice,
)
from aihwkit.simulator.parameters.enums import PulseType, WeightModifierType, WeightNoiseType
from aihwkit.simulator.parameters.inference import WeightModifierParameter
from aihwkit.simulator.parameters.training import UpdateParameters
from aihwkit.simulator.presets.inference import StandardHWATrainingPreset

__all__ = [
    "BaseConductanceConverter",
    "BaseNoiseModel",
    "ConstantStepDevice",
    "CustomDriftPCMLikeNoiseModel",
    "CustomPairConductanceConverter",
    "DigitalRankUpdateRPUConfig",
    "DualPairConductanceConverter",
    "ExpStepDevice",
    "HermesNoiseModel",
    "InferenceRPUConfig",
    "LinearStepDevice",
    "NPairConductanceConverter",
    "OneSidedUnitCell",
    "PCMLikeNoiseModel",
    "PiecewiseStepDevice",
    "PowStepDevice",
    "PowStepReferenceDevice",
    "PulseType",
    "PulsedDevice",
    "ReRamCMONoiseModel",
    "ReRamWan2022NoiseModel",
    "SingleDeviceConductanceConverter",
    "SinglePairConductanceConverter",
    "SingleRPUConfig",
    "SoftBoundsDevice",
    "SoftBoundsPmaxDevice",
    "SoftBoundsReferenceDevice",
    "StandardHWATrainingPreset",
    "StateIndependentNoiseModel",
    "UnitCellRPUConfig",
    "UpdateParameters",
    "WeightModifierParameter",
    "WeightModifierType",
    "WeightNoiseType",
    "training_presets",
]
