"""A chip that was saved in November 2026 computes as it did, whatever has moved in the code since."""

from pathlib import Path

import torch

from crossbar import AnalogLinear, load_model
from crossbar.aihwkit.adapter import InferenceRPUConfig

COMPUTED = [
    [-0.5549782, 0.27457893],
    [-0.5079063, 0.14596188],
    [-0.28757343, 0.57993263],
    [-0.13385659, 0.32387227],
]


def test_a_chip_that_was_saved_computes_as_it_did():
    """Written by `program_chip` on PCM, `age_chip` (a day) and `save_model`; never to be written anew."""
    config = InferenceRPUConfig()
    config.forward.is_perfect = True
    layer = load_model(
        Path(__file__).parent / "saved_chip.safetensors", AnalogLinear(3, 2, rpu_config=config)
    )
    x = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.5, -0.5, 0.25]])
    # Float32: sums of three numbers of at most one.
    torch.testing.assert_close(layer.eval()(x), torch.tensor(COMPUTED), rtol=0, atol=1e-6)
