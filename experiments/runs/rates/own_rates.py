"""Learning rates of the runs of studies, also for networks of one's own."""

from devices.units import Dimensionless
from models import NETWORKS

from ...data.datasets import Facts
from ..run import Run
from .learning_rates import is_short_on, learning_rate, relative_rate


def rate_of_study(run: Run, placement: str, facts: Facts) -> Dimensionless:
    """Return the learning rate that suits a run of a study, by trial or, of a network of one's own, by rule.

    Args:
        run: With the rate that `xbar train` takes.
        placement: Where kernels live.
        facts: What is known of the data.
    """
    if run.model not in NETWORKS:
        return run.lr * relative_rate(run.mode, run.device, placement, is_short=False)
    shape = facts.image_shape
    return learning_rate(run.mode, run.device, shape, placement, is_short=is_short_on(shape))
