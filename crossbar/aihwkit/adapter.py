"""The vocabulary of aihwkit that the crossbar package speaks: configurations, enumerations, base classes."""

from typing import Any

from aihwkit.exceptions import AihwkitException, ModuleError, TileModuleError
from aihwkit.inference.calibration import InputRangeCalibrationType
from aihwkit.inference.compensation.base import BaseDriftCompensation
from aihwkit.inference.compensation.drift import (
    GlobalDriftCompensation,
    GlobalDriftCompensationWithExactReference,
    PerColumnDriftCompensation,
)
from aihwkit.inference.converter.base import BaseConductanceConverter
from aihwkit.inference.noise.base import BaseNoiseModel
from aihwkit.nn import (
    AnalogConv1d,
    AnalogConv1dMapped,
    AnalogConv2d,
    AnalogConv2dMapped,
    AnalogConv3d,
    AnalogConv3dMapped,
    AnalogLinearMapped,
)
from aihwkit.nn import AnalogLSTMCell as TheirLSTMCell
from aihwkit.nn import AnalogRNN as TheirRNN
from aihwkit.nn.conversion import _DEFAULT_CONVERSION_MAP
from aihwkit.nn.conversion import convert_to_analog as convert_by_aihwkit
from aihwkit.nn.modules.base import AnalogLayerBase
from aihwkit.nn.modules.container import AnalogContainerBase, AnalogSequential, AnalogWrapper
from aihwkit.nn.modules.conv import _AnalogConvNd as TheirConvolution
from aihwkit.nn.modules.linear import AnalogLinear as TheirLinear
from aihwkit.optim import AnalogSGD
from aihwkit.optim.analog_optimizer import AnalogOptimizerMixin
from aihwkit.optim.context import AnalogContext
from aihwkit.simulator.configs import (
    DigitalRankUpdateRPUConfig,
    FloatingPointRPUConfig,
    IdealDevice,
    InferenceRPUConfig,
    QuantizedTorchInferenceRPUConfig,
    SingleRPUConfig,
    TorchInferenceRPUConfig,
    TorchInferenceRPUConfigIRDropT,
    UnitCellRPUConfig,
)
from aihwkit.simulator.configs.compounds import (
    BufferedTransferCompound,
    ChoppedTransferCompound,
    DynamicTransferCompound,
    MixedPrecisionCompound,
    OneSidedUnitCell,
    ReferenceUnitCell,
    TransferCompound,
    VectorUnitCell,
)
from aihwkit.simulator.configs.devices import FloatingPointDevice
from aihwkit.simulator.configs.helpers import build_config
from aihwkit.simulator.digital_low_precision.config_utils import convert_act_config_to_kwargs_dict
from aihwkit.simulator.parameters.base import RPUConfigBase
from aihwkit.simulator.parameters.enums import (
    AnalogMVType,
    BoundManagementType,
    NoiseManagementType,
    PulseType,
    RPUDataType,
    VectorUnitCellUpdatePolicy,
    WeightClipType,
    WeightModifierType,
    WeightNoiseType,
    WeightRemapType,
)
from aihwkit.simulator.parameters.inference import (
    WeightClipParameter,
    WeightModifierParameter,
    WeightRemapParameter,
)
from aihwkit.simulator.parameters.io import IOParameters
from aihwkit.simulator.parameters.mapping import MappingParameter
from aihwkit.simulator.parameters.pre_post import (
    InputRangeParameter,
    PrePostProcessingParameter,
    PrePostProcessingParameterQuant,
)
from aihwkit.simulator.parameters.training import UpdateParameters
from aihwkit.simulator.presets import StandardHWATrainingPreset
from aihwkit.simulator.presets.utils import PresetIOParameters
from aihwkit.simulator.tiles import AnalogTile, InferenceTile, TorchInferenceTile
from aihwkit.simulator.tiles.array import TileModuleArray
from aihwkit.simulator.tiles.base import SimulatorTile, TileModuleBase
from aihwkit.simulator.tiles.custom import CustomRPUConfig, CustomUpdateParameters
from aihwkit.simulator.tiles.floating_point import FloatingPointTile
from aihwkit.simulator.tiles.inference import InferenceTileWithPeriphery
from aihwkit.simulator.tiles.module import TileModule
from aihwkit.simulator.tiles.transfer import TorchTransferTile
from torch import Tensor

CPP_AND_TORCH_TILES = AnalogTile, InferenceTile, TorchInferenceTile
THEIR_CONVOLUTIONS = (
    AnalogConv1d,
    AnalogConv2d,
    AnalogConv3d,
    AnalogConv1dMapped,
    AnalogConv2dMapped,
    AnalogConv3dMapped,
)
THEIR_LINEARS = TheirLinear, AnalogLinearMapped
# aihwkit keeps this table private but documents that users extend it.
DEFAULT_CONVERSION_MAP = dict(_DEFAULT_CONVERSION_MAP)

__all__ = [
    "CPP_AND_TORCH_TILES",
    "DEFAULT_CONVERSION_MAP",
    "THEIR_CONVOLUTIONS",
    "THEIR_LINEARS",
    "AihwkitException",
    "AnalogContainerBase",
    "AnalogContext",
    "AnalogLayerBase",
    "AnalogMVType",
    "AnalogOptimizerMixin",
    "AnalogSGD",
    "AnalogSequential",
    "AnalogWrapper",
    "BaseConductanceConverter",
    "BaseDriftCompensation",
    "BaseNoiseModel",
    "BoundManagementType",
    "BufferedTransferCompound",
    "ChoppedTransferCompound",
    "CustomRPUConfig",
    "CustomUpdateParameters",
    "DigitalRankUpdateRPUConfig",
    "DynamicTransferCompound",
    "FloatingPointDevice",
    "FloatingPointRPUConfig",
    "GlobalDriftCompensation",
    "GlobalDriftCompensationWithExactReference",
    "IOParameters",
    "IdealDevice",
    "InferenceRPUConfig",
    "InferenceTileWithPeriphery",
    "InputRangeCalibrationType",
    "InputRangeParameter",
    "MappingParameter",
    "MixedPrecisionCompound",
    "ModuleError",
    "NoiseManagementType",
    "OneSidedUnitCell",
    "PerColumnDriftCompensation",
    "PrePostProcessingParameter",
    "PrePostProcessingParameterQuant",
    "PresetIOParameters",
    "PulseType",
    "QuantizedTorchInferenceRPUConfig",
    "RPUConfigBase",
    "RPUDataType",
    "ReferenceUnitCell",
    "SimulatorTile",
    "SingleRPUConfig",
    "StandardHWATrainingPreset",
    "TheirConvolution",
    "TheirLSTMCell",
    "TheirLinear",
    "TheirRNN",
    "TileModule",
    "TileModuleArray",
    "TileModuleBase",
    "TileModuleError",
    "TorchInferenceRPUConfig",
    "TorchInferenceRPUConfigIRDropT",
    "TorchTransferTile",
    "TransferCompound",
    "UnitCellRPUConfig",
    "UpdateParameters",
    "VectorUnitCell",
    "VectorUnitCellUpdatePolicy",
    "WeightClipParameter",
    "WeightClipType",
    "WeightModifierParameter",
    "WeightModifierType",
    "WeightNoiseType",
    "WeightRemapParameter",
    "WeightRemapType",
    "build_config",
    "convert_by_aihwkit",
    "probe_tile",
    "range_estimator",
]


def probe_tile(weight: Tensor, x: Tensor) -> Tensor:
    """Multiply by a real floating-point tile of aihwkit: (batch, in) with (out, in) -> (batch, out)."""
    tile = FloatingPointTile(*weight.shape, FloatingPointRPUConfig())
    tile.set_weights(weight)
    result: Tensor = tile.tile.forward(x, False)
    return result


def range_estimator(settings: Any) -> Any:
    """Return what finds the range of a quantiser: called with a tensor, it returns the lowest and highest value.

    Args:
        settings: aihwkit's `ActivationQuantConfig`.
    """
    chosen = convert_act_config_to_kwargs_dict(settings)
    quantiser = chosen["act_method"].cls(n_bits=settings.n_bits)
    return chosen["act_range_method"].cls(quantizer=quantiser, **chosen["act_range_options"])
