"""What aihwkit has for IBM's Fusion chip: weights as its conductances, and its tables.

Apart from the other names of aihwkit, and imported where it is used: scikit-learn comes with it, which takes half as
long as the rest of `import crossbar`.
"""

from aihwkit.inference.converter.fusion import FusionConductanceConverter
from aihwkit.utils.export import _fusion_get_csv_header as header
from aihwkit.utils.export import _fusion_load_csv as load_table
from aihwkit.utils.export import _fusion_save_csv as save_table

__all__ = ["FusionConductanceConverter", "header", "load_table", "save_table"]
