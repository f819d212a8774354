"""Tile arrays, the analog matrix-vector product, analog layers, placements and costs."""

from .aihwkit.compatibility import check_environment

check_environment()

from devices.working_memory import bounded_memory  # noqa: E402

from .cost.events import EventLedger  # noqa: E402
from .cost.hardware_profile import HardwareProfile, load_profile, profile_names  # noqa: E402
from .cost.pricing import price  # noqa: E402
from .cost.static_power import StaticPower  # noqa: E402
from .layers.analog_convolution import AnalogConv1d, AnalogConv2d, AnalogConv3d  # noqa: E402
from .layers.analog_linear import AnalogLinear, AnalogLinearMapped  # noqa: E402
from .layers.analog_locally_connected import (  # noqa: E402
    AnalogLocallyConnected1d,
    AnalogLocallyConnected2d,
    AnalogLocallyConnected3d,
)
from .layers.analog_transposed import (  # noqa: E402
    AnalogConvTranspose1d,
    AnalogConvTranspose2d,
    AnalogConvTranspose3d,
)
from .layers.attention import AnalogMultiheadAttention  # noqa: E402
from .layers.containers import AnalogSequential  # noqa: E402
from .layers.locally_connected import (  # noqa: E402
    LocallyConnected1d,
    LocallyConnected2d,
    LocallyConnected3d,
)
from .layers.mapped import AnalogConv1dMapped, AnalogConv2dMapped, AnalogConv3dMapped  # noqa: E402
from .layers.recurrent.analog_rnn import AnalogRNN  # noqa: E402
from .layers.recurrent.cells import (  # noqa: E402
    AnalogGRUCell,
    AnalogLSTMCell,
    AnalogLSTMCellCombinedWeight,
    AnalogVanillaRNNCell,
)
from .layers.recurrent.from_torch import AnalogElmanRNN, AnalogGRU, AnalogLSTM  # noqa: E402
from .learning.synchronisation import SyncCounts, synchronise  # noqa: E402
from .learning.write_verify_config import WriteVerifyRPUConfig, write_verify_config  # noqa: E402
from .network.calibration import calibrate_input_ranges  # noqa: E402
from .network.chip import age_chip, erase_chip, program_chip, seed_noise, tile_arrays  # noqa: E402
from .network.chip_state import chip_state, load_chip_state  # noqa: E402
from .network.computing_choices import use_gradient, use_noise_precision  # noqa: E402
from .network.conversion.conversion_report import ConversionReport, conversion_report  # noqa: E402
from .network.conversion.convert import CONVERSION_MAP, convert_to_analog  # noqa: E402
from .network.conversion.convert_back import DIGITAL_CONVERSION_SET, convert_to_digital  # noqa: E402
from .network.event_recording import record_events  # noqa: E402
from .network.exchange import from_aihwkit, load_aihwkit_state, to_aihwkit  # noqa: E402
from .network.faulty_devices import break_devices, device_yield  # noqa: E402
from .network.fusion import fusion_export, fusion_import  # noqa: E402
from .network.refresh_choice import use_refresh  # noqa: E402
from .network.replacing import replace_placement  # noqa: E402
from .network.residual import (  # noqa: E402
    CopiesResidual,
    LayerSharing,
    copies_residual,
    model_sharing,
    weight_signal_to_noise,
)
from .network.soft_sharing import neighbour_penalty, sleep  # noqa: E402
from .network.spread.images import gather_images, own_images, spread_images  # noqa: E402
from .network.spread.tiles import gather_tiles, spread_tiles  # noqa: E402
from .network.storage import load_model, save_model  # noqa: E402
from .placement.placement import Placement, placement  # noqa: E402
from .reading.gradient import Gradient  # noqa: E402
from .reading.noise import NoiseStream  # noqa: E402
from .tiles.compensation import Compensation  # noqa: E402
from .tiles.tile_array import Backend, TileArray  # noqa: E402
from .wires import CrossbarSolution, WireParameters, effective_conductance, solve_crossbar, solve_nodes  # noqa: E402

__all__ = [
    "CONVERSION_MAP",
    "DIGITAL_CONVERSION_SET",
    "AnalogConv1d",
    "AnalogConv1dMapped",
    "AnalogConv2d",
    "AnalogConv2dMapped",
    "AnalogConv3d",
    "AnalogConv3dMapped",
    "AnalogConvTranspose1d",
    "AnalogConvTranspose2d",
    "AnalogConvTranspose3d",
    "AnalogElmanRNN",
    "AnalogGRU",
    "AnalogGRUCell",
    "AnalogLSTM",
    "AnalogLSTMCell",
    "AnalogLSTMCellCombinedWeight",
    "AnalogLinear",
    "AnalogLinearMapped",
    "AnalogLocallyConnected1d",
    "AnalogLocallyConnected2d",
    "AnalogLocallyConnected3d",
    "AnalogMultiheadAttention",
    "AnalogRNN",
    "AnalogSequential",
    "AnalogVanillaRNNCell",
    "Backend",
    "Compensation",
    "ConversionReport",
    "CopiesResidual",
    "CrossbarSolution",
    "EventLedger",
    "Gradient",
    "HardwareProfile",
    "LayerSharing",
    "LocallyConnected1d",
    "LocallyConnected2d",
    "LocallyConnected3d",
    "NoiseStream",
    "Placement",
    "StaticPower",
    "SyncCounts",
    "TileArray",
    "WireParameters",
    "WriteVerifyRPUConfig",
    "age_chip",
    "bounded_memory",
    "break_devices",
    "calibrate_input_ranges",
    "chip_state",
    "conversion_report",
    "convert_to_analog",
    "convert_to_digital",
    "copies_residual",
    "device_yield",
    "effective_conductance",
    "erase_chip",
    "from_aihwkit",
    "fusion_export",
    "fusion_import",
    "gather_images",
    "gather_tiles",
    "load_aihwkit_state",
    "load_chip_state",
    "load_model",
    "load_profile",
    "model_sharing",
    "neighbour_penalty",
    "own_images",
    "placement",
    "price",
    "profile_names",
    "program_chip",
    "record_events",
    "replace_placement",
    "save_model",
    "seed_noise",
    "sleep",
    "solve_crossbar",
    "solve_nodes",
    "spread_images",
    "spread_tiles",
    "synchronise",
    "tile_arrays",
    "to_aihwkit",
    "use_gradient",
    "use_noise_precision",
    "use_refresh",
    "weight_signal_to_noise",
    "write_verify_config",
]


def __dir__() -> list[str]:
    """Show the public names, and no submodules."""
    return sorted(__all__)
