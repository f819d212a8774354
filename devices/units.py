"""Units: µS, V, µA, s, µW, µJ multiply without factors, so µS times V is µA, and µW times s is µJ.

A physical float is annotated with one of these aliases, so that a reader, the documentation and a test can
all see its unit: `g_max: MicroSiemens = 25.0`.
"""

from typing import Annotated

MicroSiemens = Annotated[float, "µS"]
Seconds = Annotated[float, "s"]
Dimensionless = Annotated[float, "1"]
MicroJoules = Annotated[float, "µJ"]
MicroWatts = Annotated[float, "µW"]
SquareMicrometres = Annotated[float, "µm²"]
Ohm = Annotated[float, "Ω"]
Volts = Annotated[float, "V"]
Mixed = Annotated[float, "of its key"]
"""A number in a table whose keys say what it is, each in its own unit: a section of a device file, say."""
