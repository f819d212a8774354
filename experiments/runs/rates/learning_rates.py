"""Learning rates of trainings that name none: by mode, device and images, times the relative one of the sharing.

Starting points, each from a few trials of one seed, stated beside it: on validation images where it says so, else on
test images, so that they flatter what is tested with them. Results that others are to build on take rates of
`xbar tune`, which looks at no test image and gives every scheme, mechanism and device the same effort.
"""

from typing import Final

from devices import get
from devices.units import Dimensionless

from ..networks.rules import SGD_TO_ADAM

# Adam's, in runs that end in minutes (the paper: 1e-3 and 1e-4 over hundreds of epochs). Found by trial: the digits
# reach 97 % with and without noise; MNIST after 200 steps 91 % hardware-aware (1e-3: 80 %) and 97 % digitally (95 %).
# assumed for 32 x 32: between the two.
_ADAM: Final[dict[tuple[int, ...], Dimensionless]] = {
    (1, 8, 8): 5e-3,
    (1, 28, 28): 4e-3,
    (3, 32, 32): 1e-3,
}
# In situ, plain SGD; one seed each, 60 epochs of the digits unless said otherwise, accuracy as trained.
# reram-sb: 0.1 30 %, 0.3 45 %, 1 46 %, 3 45 %. With 1: ecram 93 %, idealized 95 %, ttv2-reram-sb 86 %.
# 20 epochs: mixed-precision-ecram 0.3 91 %, 1 94 %; pcm 0.3 71 %, 1 79 %; agad-reram-sb 1 79 %.
# tiki-taka-reram-sb: 3 64 %, 10 58 %; 20 epochs: 0.3 43 %, 1 54 %. ttv2-reram-es: 3 86 %; 20 epochs: 1 77 %.
# MNIST, ecram, 2 epochs of 3,000 images: 0.1 30 %, 0.3 44 %, 1 78 %. assumed for 32 x 32: less.
# Write-verify learns best with the same: 20 epochs of the digits, seed 100: ecram 0.3 94 %, 1 97 %, 3 5 %; pcm 0.3
# 94 %, 1 96 %, 3 5 %; reram-sb 1 96 %, 3 48 %; the CNN on ecram 0.3 96 %, 1 96 %. MNIST, ecram, as above: 0.3 56 %,
# 1 83 %.
_SGD: Final[dict[tuple[int, ...], Dimensionless]] = {
    (1, 8, 8): 1.0,
    (1, 28, 28): 1.0,
    (3, 32, 32): 0.3,
}
_OF_ALGORITHM: Final[dict[str, Dimensionless]] = {"Tiki-Taka v1": 3.0}  # in situ

# Relative to kernels of their own: a shared kernel sums the gradients of all locations it serves. By mode, device
# ("": any other) and scheme; what is not listed has 1.
# Validation accuracy in % of seed 100, 20 epochs of the digits, relative rates 0.1 / 0.3 / 1 / 3 (-: not tried):
#   in situ, ecram: time_multiplexed 76 / 83 / 81 / 9; sync_every=10 77 / 81 / - / -; free - / - / 89 / 85
#   in situ, pcm: time_multiplexed 55 / 63 / 32 / -; sync_every=10 82 / 65 / - / -; free - / 75 / 85 / -
#   write-verify, ecram: time_multiplexed 88 / 93 / 94 / -; free - / 90 / - / -
# MNIST, ecram in situ, 4 epochs of 20,000 images, seed 100: CNN 89 / 91 / 74 % (seed 0) / -, FCN with shifts of 0.2
#   - / 37 / 77 % (seed 0) / -.
# assumed: copies that receive every update learn as one tile does.
_Relative = dict[tuple[str, str, str], Dimensionless]
_LONG: Final[_Relative] = {
    ("in-situ", "", "time_multiplexed"): 0.3,
    ("in-situ", "", "replicated"): 0.3,
    ("in-situ", "", "synchronised"): 0.3,
    ("in-situ", "pcm", "synchronised"): 0.1,
    ("write-verify", "", "time_multiplexed"): 0.3,
    ("write-verify", "", "replicated"): 0.3,
}
# A short training wants larger steps. One epoch of 4,000 images of MNIST, seed 100, relative rates 0.1 / 0.3 / 1 / 3:
#   in situ, ecram: time_multiplexed - / 31 / 62 / -; tiles=16,sync_every=10 15 / 70 / - / -; free - / - / 65 / 47
#   in situ, pcm: time_multiplexed - / 62 / 67 / -; tiles=16,sync_every=10 32 / 50 / - / -
#   write-verify, ecram: time_multiplexed - / - / 87 / 21; free - / - / 70 / -
# Copies that are made equal after every step learn as one tile does.
# Two epochs of 3,000 images: ecram, sync_every=10, rate 0.3: 9 %; pcm, write-verify with copies, rate 1: 20 %.
_SHORT: Final[_Relative] = {
    ("in-situ", "", "synchronised"): 0.3,
    ("in-situ", "ecram", "synchronised"): 0.1,
    ("write-verify", "", "replicated"): 0.3,
}


def learning_rate(
    mode: str,
    device: str,
    image_shape: tuple[int, ...],
    placement: str = "free",
    *,
    is_short: bool = False,
    adam: Dimensionless | None = None,
) -> Dimensionless:
    """Return the learning rate that suits a training: the rate itself, to be handed to the optimizer as it is.

    Args:
        mode: How weights are learned: "digital" and "hwa" by Adam, "in-situ" and "write-verify" by plain SGD.
        device: The memory cell, by name or file; it decides in situ and by write-verify only.
        image_shape: Channels, height and width of the images.
        placement: Where kernels live, as `xbar train --placement` reads it. Kernels of their own, "free", have the
            rate that `xbar train` takes for every placement.
        is_short: Whether the training is a few hundred steps long, as those of `xbar sharing-cost` on MNIST.
        adam: That of Adam for a network that is none of ours, by `networks.rules`.
    """
    if mode in ("digital", "hwa"):
        return _ADAM[image_shape] if adam is None else adam
    algorithm = get(device).algorithm if mode == "in-situ" else None
    relative = relative_rate(mode, device, placement, is_short=is_short)
    usual = _SGD[image_shape] if adam is None else adam * SGD_TO_ADAM
    return usual * _OF_ALGORITHM.get(algorithm or "", 1.0) * relative


def relative_rate(mode: str, device: str, placement: str, *, is_short: bool) -> Dimensionless:
    """Return the rate of a placement relative to that of kernels of their own, of `learning_rate`."""
    if mode in ("digital", "hwa"):
        return 1.0
    rates = _SHORT if is_short else _LONG
    spec = placement.replace(" ", "")
    scheme = spec.partition("(")[0]
    if "(tiles=1)" in spec:
        scheme = "time_multiplexed"  # one end of the sweep over tiles: one kernel serves all locations
    if "sync_every" in spec and "sync_every=1)" not in spec:
        scheme = "synchronised"
    return rates.get((mode, device, scheme), rates.get((mode, "", scheme), 1.0))


def is_short_on(image_shape: tuple[int, ...]) -> bool:
    """Say whether studies train for a short time on images of a shape: on MNIST's, of which they take few."""
    return image_shape == (1, 28, 28)
