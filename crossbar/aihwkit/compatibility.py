"""One check, at import, that aihwkit's compiled tiles and this torch understand each other.

aihwkit's wheel is compiled against the C++ ABI of one torch version: with torch 2.9.1 it does not import, with
2.13 it imports and then misreads tensors. So neither a version number nor an import is proof; a tile is.
"""

from importlib import metadata

TORCH, AIHWKIT = "2.10.0", "1.1.0"


class IncompatibleEnvironmentError(ImportError):
    """The installed torch and aihwkit do not fit each other."""


def check_environment() -> None:
    """Set the weights of one real aihwkit tile, multiply, and compare.

    Raises:
        IncompatibleEnvironmentError: If versions differ from the tested pair, or the tile answers wrongly.
    """
    remedy = f"Install the pair that belongs together: pip install torch=={TORCH} aihwkit=={AIHWKIT}"
    found = {name: _version(name) for name in ("torch", "aihwkit")}
    for name, wanted in (("torch", TORCH), ("aihwkit", AIHWKIT)):
        if found[name] != wanted:
            raise IncompatibleEnvironmentError(
                f"`{name}` must be version {wanted}, but is {found[name]}. {remedy}"
            )
    try:
        answer_is_right = _probe()
    except Exception as error:
        raise IncompatibleEnvironmentError(f"aihwkit's tiles do not work here ({error}). {remedy}") from error
    if not answer_is_right:
        raise IncompatibleEnvironmentError(f"aihwkit's tiles misread torch's tensors here. {remedy}")


def _version(name: str) -> str:
    try:
        return metadata.version(name).split("+")[0]
    except metadata.PackageNotFoundError:
        return "not installed"


def _probe() -> bool:
    import torch

    from .adapter import probe_tile

    # float32 whatever torch's default: aihwkit's tiles know no other.
    weight = torch.tensor([[0.5, -0.25, 0.125], [0.0, 1.0, -1.0]], dtype=torch.float32)
    x = torch.tensor([[1.0, 2.0, 4.0]], dtype=torch.float32)
    return torch.equal(probe_tile(weight, x), x @ weight.T)
