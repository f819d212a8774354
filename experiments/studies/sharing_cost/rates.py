"""Which learning rates a study trained with, and where they come from: they decide as much as schemes do."""

from collections.abc import Sequence

from ...drawing.sections import Section, Table
from ..seeds import by_key
from ..tune.searches import METHOD, TUNED_FILE
from .config import SharingCostPlan
from .rows import MECHANISM_NAMES, Cell

TITLE = "Learning rates"


def rates_section(cells: Sequence[Cell], config: SharingCostPlan) -> Section:
    """Return the learning rate of every scheme.

    Args:
        cells: The runs.
        config: What was asked for.
    """
    if config.from_ is not None:
        origin = "Those of the study that is priced again."
    elif config.tune is not None:
        origin = f"{config.tune} trials each ({TUNED_FILE}). {METHOD}"
    elif config.tuned is not None:
        origin = f"From {config.tuned}, chosen on validation images."
    elif config.lr is not None:
        origin = "As it was asked for."
    else:
        origin = (
            "From few trials, some of them on test images, and not with the same effort for all schemes "
            "(docs/how_to/learning_rates.md). --tune N searches them on validation images."
        )
    schemes = list(dict.fromkeys(cell.scheme for cell in cells))
    rows = []
    for group in by_key(cells, lambda cell: (cell.device, cell.mechanism)):
        rates = {
            cell.scheme: ", ".join(f"{lr:.3g}" for lr in sorted({row.lr for row in cell.rows}))
            for cell in group
        }
        first = group[0]
        name = f"{first.device}, {MECHANISM_NAMES[first.mechanism]}"
        rows.append([name, *(rates.get(scheme, "") for scheme in schemes)])
    header = ["device, mechanism", *(f"`{scheme}`" for scheme in schemes)]
    return Section(title=TITLE, text=(origin,), table=Table(header=header, rows=rows))
