"""Noises that are not too small, because the law was fitted to the same readings; and how sure numbers are then.

The most likely noise is that of the readings about the fitted curve, which follows part of it: with a polygon of 26
numbers half of a step's noise is gone. Restricted likelihood mends that (Patterson and Thompson, Biometrika 58, 545
(1971); for laws that are not linear, Cox and Reid, J. R. Stat. Soc. B 49, 1 (1987)): to -2 ln L it adds ln det I, the
information on the numbers of the law, which says how much of the scatter these take up. Near the fit ln det I is
a plane in the logarithms of the noises, so it enters as a constant pull on them. Intervals of the law's numbers are
then Student's, with as many degrees of freedom as the variance of each has (Satterthwaite, Biometrics Bull. 2, 110
(1946)).
"""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..units import Dimensionless
from .device_fit import OPEN, DeviceFit, covariance_of
from .likelihood import Likelihood
from .readings import Readings
from .step_law import StepLaw, Values

Flags = NDArray[np.bool_]
_SHIFT: Final = 0.05  # of the logarithm of a noise, for derivatives; assumed
_ROUNDS: Final = 3
_SETTLED: Final = 0.1  # errors by which noises may still move
_LEAST_FREEDOM: Final = 3.0  # below, the intervals of Student's t say nothing; assumed


def restricted(law: StepLaw, readings: Readings, fit: DeviceFit) -> DeviceFit:
    """Return the fit of restricted likelihood.

    Args:
        law: The law.
        readings: What was measured on the device.
        fit: The most likely one.
    """
    likelihood = Likelihood(law, readings, fit.coordinates, fit.is_slow)
    noises = np.flatnonzero(fit.is_noise)
    x = fit.x
    for _ in range(_ROUNDS):
        likelihood.pull, curvature, _ = _around(likelihood, x, noises, fit.is_noise)
        before, x = x, likelihood.minimise(x)
        if np.all(np.abs(x - before)[noises] < _SETTLED / np.sqrt(np.maximum(np.diag(curvature), 1e-12))):
            break
    pull, curvature, of_variances = _around(likelihood, x, noises, fit.is_noise)
    _, information = likelihood.derivatives(x)
    information[np.ix_(noises, noises)] = _above(curvature, information[np.ix_(noises, noises)])
    reach = np.array([c.reach for c in fit.coordinates])
    covariance = covariance_of(information, reach)
    law_only = ~fit.is_noise
    variances = np.diag(np.linalg.inv(information[np.ix_(law_only, law_only)]))
    doubt = np.einsum("ji,jk,ki->i", of_variances, covariance[np.ix_(noises, noises)], of_variances)
    freedom = np.full(len(x), np.inf)
    freedom[law_only] = np.maximum(2 * variances**2 / np.maximum(doubt, 1e-300), _LEAST_FREEDOM)
    is_open = np.sqrt(np.maximum(np.diag(covariance), 0.0)) > OPEN * reach
    return replace(
        fit, x=x, covariance=covariance, is_open=tuple(is_open.tolist()), pull=pull, freedom=freedom
    )


def taken_up(information: Values, is_noise: Flags) -> Dimensionless:
    """Return half of ln det I, the information on the numbers of the law.

    Args:
        information: (coordinates, coordinates).
        is_noise: Which coordinates are noises.
    """
    own = information[np.ix_(~is_noise, ~is_noise)]
    return 0.5 * float(np.linalg.slogdet(own)[1])


def _around(
    likelihood: Likelihood, x: Values, noises: NDArray[np.intp], is_noise: Flags
) -> tuple[Values, Values, Values]:
    """Return the pull on the noises, the curvature along them, and how the law's variances change: (noises, law)."""
    pull, curvature = np.zeros(len(x)), np.zeros((len(noises), len(noises)))
    of_variances = np.zeros((len(noises), int((~is_noise).sum())))
    for row, number in enumerate(noises):
        gradients, taken, variances = [], [], []
        for side in (1.0, -1.0):
            there = x.copy()
            there[number] += side * _SHIFT
            gradient, information = likelihood.derivatives(there)
            gradients.append(gradient[noises])
            taken.append(taken_up(information, is_noise))
            variances.append(np.diag(np.linalg.inv(information[np.ix_(~is_noise, ~is_noise)])))
        pull[number] = (taken[0] - taken[1]) / (2 * _SHIFT)
        curvature[row] = (gradients[0] - gradients[1]) / (2 * _SHIFT)
        of_variances[row] = (variances[0] - variances[1]) / (2 * _SHIFT)
    return pull, (curvature + curvature.T) / 2, of_variances


def _above(curvature: Values, expected: Values) -> Values:
    """Return the curvature, or a tenth of what is expected where it is less: a minimum is no saddle."""
    scale = np.sqrt(np.diag(expected))
    values, ways = np.linalg.eigh(curvature / np.outer(scale, scale))
    return np.asarray((ways * np.maximum(values, 0.1)) @ ways.T * np.outer(scale, scale))
