"""Importing the package does nothing but define names."""

import subprocess
import sys
from pathlib import Path

CHECK = """
import random, sys
import aihwkit.inference, aihwkit.simulator.presets, jaxtyping, numpy, torch
before = torch.get_rng_state(), numpy.random.get_state(legacy=True), random.getstate()
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
import devices
foreign = [path for path in opened if not path.endswith((".py", ".pyc")) and ".pyc." not in path]
assert not foreign, foreign
after = torch.get_rng_state(), numpy.random.get_state(legacy=True), random.getstate()
assert torch.equal(before[0], after[0]) and str(before[1:]) == str(after[1:])
"""


def test_importing_reads_no_data_and_touches_no_seed() -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", CHECK], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_public_names() -> None:
    import devices

    assert sorted(devices.__all__) == [
        "Characterisation",
        "DeviceModel",
        "FaultMap",
        "Faults",
        "ProgrammedTiles",
        "catalogue",
        "characterise",
        "derive_seed",
        "fit_drift",
        "fit_pulse_response",
        "generator",
        "get",
        "program",
        "read_device_file",
    ]
    assert all(hasattr(devices, name) for name in devices.__all__)
