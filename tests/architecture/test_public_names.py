"""Public names stay: other people's scripts call them."""

import crossbar

# New ones join when they are released.
NAMES = """
    AnalogConv2d AnalogLinear AnalogLocallyConnected2d Backend CONVERSION_MAP Compensation CopiesResidual
    CrossbarSolution EventLedger Gradient HardwareProfile LayerSharing LocallyConnected2d NoiseStream Placement
    SyncCounts TileArray WireParameters WriteVerifyRPUConfig age_chip break_devices convert_to_analog copies_residual
    device_yield effective_conductance erase_chip load_model load_profile model_sharing neighbour_penalty placement
    price profile_names program_chip record_events replace_placement save_model seed_noise sleep solve_crossbar
    solve_nodes synchronise tile_arrays use_gradient weight_signal_to_noise write_verify_config
"""


def test_public_names_stay():
    assert [name for name in NAMES.split() if name not in crossbar.__all__] == []
    assert [name for name in crossbar.__all__ if not hasattr(crossbar, name)] == []
