"""What holds for every test: same random numbers each time, shapes and types checked, numbers of threads kept.

Every call into `devices` and `crossbar` is checked against its annotations, shapes included (jaxtyping and beartype),
but for whole commands, repeated trainings and many repeats of one call, which take twice as long with it.
`XBAR_CHECK_SHAPES=0 pytest ...` runs without, as users do: faster, and what torch.compile wants for whole graphs.
"""

import inspect
import os
import random
from contextlib import contextmanager

# numba reads this when it is imported, and refuses every other value later, whichever test comes first.
os.environ.setdefault("NUMBA_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "2"))

import jaxtyping
import numba
import numpy as np
import pytest
import torch

from helpers.type_checks import check

# Folders and files whose calls the tests beside them check.
UNCHECKED = {"smoke", "statistics", "test_resume_exact", "test_learning_like_aihwkit"}
CHECKS_SHAPES = os.environ.get("XBAR_CHECK_SHAPES", "1") != "0"


@contextmanager
def unchecked_calls():
    """Let the packages be called without checks."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


@pytest.fixture(autouse=True, scope="module")
def _leave_repetition_unchecked(request):
    if request.path.stem in UNCHECKED or request.path.parent.name in UNCHECKED:
        with unchecked_calls():
            yield
    else:
        yield


@pytest.fixture
def unchecked():
    """Let a test call the packages without checks: for torch.compile, and where speed is measured."""
    with unchecked_calls():
        yield


def compile_as_written(njit):
    """Give numba functions as they are written: it cannot compile the checks around them."""

    def compile_function(*arguments, **settings):
        if arguments and callable(arguments[0]):
            return njit(inspect.unwrap(arguments[0]), *arguments[1:], **settings)
        compiler = njit(*arguments, **settings)
        return lambda function: compiler(inspect.unwrap(function))

    return compile_function


def ask_the_code_itself(raises):
    """Where a test expects an error, it means the one that users see: let wrong arguments reach the code."""

    @contextmanager
    def raises_unchecked(*arguments, **settings):
        with unchecked_calls(), raises(*arguments, **settings) as caught:
            yield caught

    return raises_unchecked


# Before any test imports the packages; every process of pytest-xdist comes by.
if CHECKS_SHAPES:
    numba.njit = compile_as_written(numba.njit)
    pytest.raises = ask_the_code_itself(pytest.raises)
    jaxtyping.install_import_hook(["devices", "crossbar"], f"{check.__module__}.{check.__name__}")


def pytest_configure(config):
    if CHECKS_SHAPES:
        # beartype picks the item of a list that it checks at random.
        config.addinivalue_line("filterwarnings", "ignore:Do not use the `random` module inside strategies")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Start every test, and the fixtures that it is the first to ask for, from the same random numbers.

    What a test draws then does not hang on the tests that ran before it. aihwkit's tiles draw their own numbers.
    """
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 (the global generator is what is meant)
    random.seed(0)


@pytest.fixture(autouse=True)
def _keep_threads(monkeypatch):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    of_torch, of_numba = torch.get_num_threads(), numba.get_num_threads()
    yield
    torch.set_num_threads(of_torch)
    numba.set_num_threads(of_numba)
