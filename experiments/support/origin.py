"""Are the four packages the ones that belong together?"""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

PACKAGES: Final = ("devices", "crossbar", "models", "experiments")


def check_package_origin() -> None:
    """Refuse to run when another package or file has taken the name of one of ours.

    Finds the packages without importing them, so that a stranger's code is not run.

    Raises:
        ImportError: If one of the four is missing or lies elsewhere than this file's repository.
    """
    repository = Path(__file__).resolve().parents[2]
    for name in PACKAGES:
        spec = find_spec(name)
        origin = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        if origin != repository / name / "__init__.py":
            raise ImportError(
                f"`{name}` must be the package in {repository}, but is {origin or 'missing'}. Start through "
                "the command `xbar` or with `python -P`, or remove what has taken its name."
            )
