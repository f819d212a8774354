"""What no bill knows, and how much it may matter; docs/explanation/cost.md has the calculations."""

from typing import Final

LEFT_OUT: Final = (
    "Energy does not depend on the data: zeros and small inputs cost as much as large ones (at most the share of "
    "input drivers and cells, 31 % with hermes-pcm; the same values for all schemes).",
    "Every input is read from its buffer anew: buffers that keep what locations share save at most 2.6 % of an "
    "image, and a multicast to overlapping locations at most 2.4 %.",
    "Contention of routers; how far data travel is a choice (`network`): with arrays anywhere on a mesh an unshared "
    "network takes 24 to 44 % more than one tile for each layer, where it takes as much else.",
    "Traffic off the chip, unless the profile has `arrays_per_chip` and `link_energy`: an unshared network of more "
    "arrays than a chip has costs more then. Weights stay in their devices and do not travel.",
    "Time and bandwidth of digital work: hidden behind that of the tiles.",
    "One technology: constants stem from 14 to 45 nm as their sources say; digital work at 45 nm, less than 1 % of "
    "an image, is dear by a factor of about five (assumed).",
)
"""Sentences for bills and pages: what is left out, and the size of the error."""
