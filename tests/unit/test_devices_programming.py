"""What programming refuses, and small facts about what it returns."""

import pytest
import torch

from devices import ProgrammedTiles, get, program
from devices.aihwkit_adapter import PCMLikeNoiseModel, ReRamWan2022NoiseModel

PCM = get("pcm").noise_model()


@pytest.mark.parametrize(
    ("shape", "message"),
    [((2, 3), r"\(2, 3\)"), ((1, 2, 2, 2), r"\(1, 2, 2, 2\)"), ((0, 2, 2), r"\(0, 2, 2\)")],
)
def test_shape_of_the_weights(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"`target_weights` must have the shape .* is of shape {message}"):
        program(PCM, torch.ones(shape), seed=0)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bfloat16])
def test_dtype_of_the_weights(dtype: torch.dtype) -> None:
    with pytest.raises(TypeError, match=f"`target_weights` must be float32 or float64, but is {dtype}"):
        program(PCM, torch.ones(1, 2, 2, dtype=dtype), seed=0)


def test_weights_must_be_finite() -> None:
    weights = torch.tensor([[[1.0, torch.nan, torch.inf]]])
    with pytest.raises(ValueError, match="`target_weights` must be finite, but is inf or nan in 2 places"):
        program(PCM, weights, seed=0)


def test_shape_of_the_mask() -> None:
    message = r"`populated` must broadcast to \(2, 3, 4\), but is of shape \(3,\)"
    with pytest.raises(ValueError, match=message):
        program(PCM, torch.ones(2, 3, 4), seed=0, populated=torch.ones(3, dtype=torch.bool))


def test_dtype_of_the_mask() -> None:
    with pytest.raises(TypeError, match=r"`populated` must be a bool mask, but is torch.float32"):
        program(PCM, torch.ones(2, 3, 4), seed=0, populated=torch.ones(4))


def test_a_noise_model_is_needed() -> None:
    with pytest.raises(TypeError, match="`noise_model` must be an aihwkit noise model, but is a str"):
        program("pcm", torch.ones(1, 1, 1), seed=0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "attribute"),
    [
        (PCMLikeNoiseModel([1.0, 0.0], prog_coeff_g_max_reference=25.0), "prog_coeff_g_max_reference"),
        (ReRamWan2022NoiseModel(coeff_g_max_reference=40.0), "coeff_g_max_reference"),
    ],
)
def test_arguments_that_aihwkit_loses(model: PCMLikeNoiseModel, attribute: str) -> None:
    with pytest.raises(ValueError, match=f"`noise_model` must have the attribute `{attribute}`"):
        program(model, torch.ones(1, 1, 1), seed=0)
    setattr(model, attribute, 25.0)  # the advice in the message
    program(model, torch.ones(1, 1, 1), seed=0)


def test_a_state_must_be_whole() -> None:
    state = program(PCM, torch.ones(1, 1, 1), seed=0).state()
    del state["seed"]
    with pytest.raises(
        ValueError, match=r"`tensors` must hold target_weights, seed .*\['drawn.0', 'drawn.1'"
    ):
        ProgrammedTiles.from_state(PCM, state)


def test_a_state_shares_no_memory_between_tensors() -> None:
    tiles = program(PCM, torch.ones(2, 3, 4), seed=0, populated=torch.ones(4, dtype=torch.bool))
    state = tiles.state()
    assert sorted(state) == sorted(
        ["target_weights", "seed", "populated", "g_programmed.0", "g_programmed.1", "drawn.0", "drawn.1"]
    )
    assert len({tensor.data_ptr() for tensor in state.values()}) == len(state)


def test_a_programmed_chip_needs_no_gradient() -> None:
    weights = torch.ones(1, 2, 2, requires_grad=True)
    assert not program(PCM, weights, seed=0).drifted_weights(1.0).requires_grad
