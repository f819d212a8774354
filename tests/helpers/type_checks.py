"""How calls are checked against annotations: by beartype, with what it cannot know left open."""

from typing import Any

from beartype import BeartypeConf, beartype
from typing_extensions import Self

# An int is a float to Python's type checkers (PEP 484), so to this one.
_BEARTYPE = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function: Any) -> Any:
    """Check a function's arguments and result; `Self`, whose class beartype would have to see, may be anything."""
    hints = function.__annotations__
    function.__annotations__ = {name: Any if hint is Self else hint for name, hint in hints.items()}
    return _BEARTYPE(function)
