"""How the help shows options that may be left open: without a default, which the text names where there is one."""

from typing import Any, Final, get_args

import tyro
from tyro.constructors import PrimitiveConstructorSpec

ALL: Final = tyro.conf.arg(metavar="INT", help_behavior_hint="(default: all)")
OPEN: Final = tyro.conf.arg(help_behavior_hint="")
OPEN_NAME: Final = tyro.conf.arg(metavar="STR", help_behavior_hint="")
OPEN_PATH: Final = tyro.conf.arg(metavar="PATH", help_behavior_hint="")
OPEN_INT: Final = tyro.conf.arg(metavar="INT", help_behavior_hint="")
OPEN_TILE: Final = tyro.conf.arg(metavar="INT|INTxINT", help_behavior_hint="")
OF_PACKING: Final = tyro.conf.arg(metavar="none|block|union|dense|PATTERN=PACKING,...")
OPEN_FLOAT: Final = tyro.conf.arg(metavar="FLOAT", help_behavior_hint="")


def one_of(words: Any) -> PrimitiveConstructorSpec[Any]:
    """Let an open option be one of the words of a `Literal`; tyro alone would offer None beside them."""
    choices = get_args(words)
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=f"{{{','.join(choices)}}}",
        instance_from_str=lambda given: given[0],
        is_instance=lambda value: value is None or value in choices,
        str_from_instance=lambda value: [str(value)],
        choices=choices,
    )
