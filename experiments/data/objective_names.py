"""Names of losses and metrics, as the command line offers them; nothing here loads torch."""

from typing import Final, Literal

Loss = Literal["cross-entropy", "mse", "l1", "smooth-l1"]
Metric = Literal["accuracy", "top5", "balanced-accuracy", "r2"]

METRIC_NAMES: Final[dict[Metric, str]] = {
    "accuracy": "accuracy",
    "top5": "top-5 accuracy",
    "balanced-accuracy": "balanced accuracy",
    "r2": "R²",
}
"""What tables and figures call them."""
