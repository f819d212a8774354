"""What workers of a cluster do in tests; in a module that they can import."""

import os
import time
from pathlib import Path

from experiments.runs.run_folder import RunFolder


def work(task: tuple[Path, str]) -> None:
    """Take a run's lock, and say when it began and ended."""
    folder, name = task
    with RunFolder(folder / f"run-{name}").lock():
        with (folder / f"{name}.log").open("a") as log:
            log.write(f"begun {os.getpid()}\n")
        time.sleep(1.5)
        with (folder / f"{name}.log").open("a") as log:
            log.write(f"ended {os.getpid()}\n")
