"""The transformed images of the seed paper: shifted, turned, noisy, or with two quadrants exchanged.

Ott et al., Neural Networks 126 (2020): training images are transformed in one way, at a strength a; networks are
scored on validation images transformed in five ways, each at a fixed strength. Every image of a batch has its own
draw, and all are computed at once.
"""

import math
from dataclasses import replace
from typing import Final, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from devices.streams import generator
from devices.units import Dimensionless

from .datasets import Images

Pixels = Float[Tensor, "images channels height width"]
Augmentation = Literal["translation", "rotation", "noise", "edge-noise"]
AUGMENTATIONS: Final[tuple[Augmentation, ...]] = get_args(Augmentation)

PLAIN: Final = "plain"
SWAPPED: Final = "quadrant-swap"
# Ott et al.: the strengths of the transformed validation sets; of a rotation in parts of a full turn.
_OF_VALIDATION: Final[dict[Augmentation, Dimensionless]] = {
    "translation": 0.25,
    "rotation": 45 / 360,
    "noise": 0.15,
    "edge-noise": 0.15,
}
VALIDATIONS: Final = (PLAIN, *AUGMENTATIONS, SWAPPED)
# Ott et al.: the outer 5 pixels of 28 x 28. assumed for other sizes: the same part of the image.
_EDGE: Final = 5 / 28


def augment(pixels: Pixels, kind: Augmentation, strength: Dimensionless, rng: torch.Generator) -> Pixels:
    """Transform images, each by a draw of its own.

    Args:
        pixels: In [0, 1].
        kind: "translation" by up to `strength` of the width and the height, either way; "rotation" by up to
            `strength` of a full turn, either way; "noise" or "edge-noise", normal with `strength` as its standard
            deviation. What comes in from outside repeats the pixel at the edge; pixels in between are interpolated.
        strength: 0 or more; 0 changes nothing.
        rng: The stream.

    Returns:
        In [0, 1]: noise beyond is cut off (assumed; the paper does not say).
    """
    if strength == 0:
        return pixels
    number, _, height, width = pixels.shape
    if kind == "translation":
        shift = strength * (2 * _uniform(number, 2, rng) - 1)
        return _moved(pixels, torch.ones(number), torch.zeros(number), shift)
    if kind == "rotation":
        angle = 2 * math.pi * strength * (2 * _uniform(number, 1, rng)[:, 0] - 1)
        return _moved(pixels, angle.cos(), angle.sin(), torch.zeros(number, 2))
    noise = strength * torch.randn(pixels.shape, generator=rng)
    if kind == "edge-noise":
        edge = max(1, round(_EDGE * min(height, width)))
        noise[:, :, edge : height - edge, edge : width - edge] = 0
    return (pixels + noise.to(pixels)).clamp_(0, 1)


def swap_quadrants(pixels: Pixels) -> Pixels:
    """Exchange the quadrants at the top right and at the bottom left; a middle row or column stays."""
    height, width = (size // 2 for size in pixels.shape[2:])
    swapped = pixels.clone()
    swapped[:, :, :height, -width:] = pixels[:, :, -height:, :width]
    swapped[:, :, -height:, :width] = pixels[:, :, :height, -width:]
    return swapped


# Validation images scored on analog layers, which are slow: 0.3 points of standard error at 99 %, 1.6 at 50 %.
IMAGES_ON_HARDWARE: Final = 1000


def validation_sets(images: Images, seed: int) -> dict[str, Images]:
    """Return images as they are and transformed in five ways, the same for every epoch and network of a seed.

    Args:
        images: Validation or test images.
        seed: The run's seed.

    Returns:
        By the names in `VALIDATIONS`.
    """
    sets = {PLAIN: images}
    for kind, strength in _OF_VALIDATION.items():
        rng = generator(seed, "validation", kind)
        sets[kind] = replace(images, pixels=augment(images.pixels, kind, strength, rng))
    sets[SWAPPED] = replace(images, pixels=swap_quadrants(images.pixels))
    return sets


def _uniform(number: int, columns: int, rng: torch.Generator) -> Tensor:
    return torch.rand(number, columns, generator=rng)


def _moved(pixels: Tensor, cosine: Tensor, sine: Tensor, shift: Tensor) -> Tensor:
    """Turn images about their centres and shift them by parts of their sides."""
    height, width = pixels.shape[2:]
    # Coordinates run from -1 to 1 along each side, whatever its length; a turn is one of pixels.
    rows = (
        [cosine, -sine * height / width, -2 * shift[:, 0]],
        [sine * width / height, cosine, -2 * shift[:, 1]],
    )
    theta = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1).to(pixels)
    grid = affine_grid(theta, list(pixels.shape), align_corners=False)
    return grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
