"""Units: µS, V, µA, s multiply without factors, so µS times V is µA.

A physical float is annotated with one of these aliases, so that a reader, the documentation and a test can
all see its unit: `g_max: MicroSiemens = 25.0`.
"""

from typing import Annotated

MicroSiemens = Annotated[float, "µS"]
Seconds = Annotated[float, "s"]
Dimensionless = Annotated[float, "1"]
