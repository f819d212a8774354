"""Rules by which devices learn in place: aihwkit's updates, unit cells and compounds, for many tiles at once."""

from .factory import make_cells, why_not_batched
from .mixed_precision import MixedPrecision
from .one_sided import OneSidedCells
from .single import SingleCells
from .tiki_taka.buffered_transfer import BufferedTransfer
from .tiki_taka.chopped_transfer import ChoppedTransfer
from .tiki_taka.dynamic_transfer import DynamicTransfer
from .tiki_taka.transfer import Transfer
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
