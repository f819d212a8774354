"""Rules by which devices learn in place: aihwkit's updates, unit cells and compounds, for many tiles at once."""

from .buffered_transfer import BufferedTransfer
from .chopped_transfer import ChoppedTransfer
from .dynamic_transfer import DynamicTransfer
from .factory import make_cells, why_not_batched
from .mixed_precision import MixedPrecision
from .one_sided import OneSidedCells
from .single import SingleCells
from .transfer import Transfer
from .unit_cells import UnitCells
from .vector_cell import VectorCells
from .write_verify_cells import WriteVerifyCells

__all__ = [
    "BufferedTransfer",
    "ChoppedTransfer",
    "DynamicTransfer",
    "MixedPrecision",
    "OneSidedCells",
    "SingleCells",
    "Transfer",
    "UnitCells",
    "VectorCells",
    "WriteVerifyCells",
    "make_cells",
    "why_not_batched",
]
