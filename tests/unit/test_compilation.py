"""A first run that compiles for long says so, once; one whose loops are soon compiled says nothing."""

import time

import numba
from numba.core import event

from experiments.support.compilation import CompilationNotice


def compiling(seconds):
    # One loop calls the other.
    with event.trigger_event("numba:compile"), event.trigger_event("numba:compile"):
        time.sleep(seconds)


def test_long_compiling_is_told_once(capsys):
    with event.install_listener("numba:compile", CompilationNotice(0.1)):
        compiling(0.3)
        compiling(0.3)
    assert capsys.readouterr().err.count("Compiling loops that run here for the first time") == 1


def test_many_loops_count_together_and_few_are_not_told(capsys):
    with event.install_listener("numba:compile", CompilationNotice(1.0)):
        compiling(0.1)
        time.sleep(1.2)  # what is not compiling does not count
        assert capsys.readouterr().err == ""
        compiling(1.2)
    assert "Compiling loops" in capsys.readouterr().err


def test_numba_tells_of_what_it_compiles(capsys):
    @numba.njit
    def twice(x):
        return 2 * x

    with event.install_listener("numba:compile", CompilationNotice(0.0)):
        assert twice(3) == 6
    assert "Compiling loops" in capsys.readouterr().err
