"""Data, training, evaluation, figures and the command line `xbar`.

Importing this package checks that `devices`, `crossbar`, `models` and `experiments` are this project's: the
names are common words, and another installed package or a file in the working folder can take their place.
"""

from .support.origin import check_package_origin

check_package_origin()
