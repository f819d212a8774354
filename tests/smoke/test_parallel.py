"""Pieces of a study side by side: on processes, on a Dask cluster, with failures, and stopped."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from experiments.support.interruption import Interruption, RunInterrupted
from experiments.support.parallel import do_all


def work(task: tuple[Path, str]) -> None:
    folder, name = task
    if name == "bad":
        raise ValueError("it went\n wrong")
    if name.startswith("long"):
        with Interruption("later") as interruption:
            for _ in range(600):
                time.sleep(0.05)
                interruption.stop_if_requested()
    (folder / name).write_text(f"{os.getpid()} {os.environ.get('OMP_NUM_THREADS')}")


def tasks(folder: Path, *names: str) -> dict[str, tuple[Path, str]]:
    return {name: (folder, name) for name in names}


@pytest.mark.parametrize("jobs", [1, 2])
def test_all_is_done_and_failures_are_named(jobs: int, tmp_path: Path) -> None:
    failed = do_all(
        work, tasks(tmp_path, "a", "bad", "b", "c"), total=5, jobs=jobs, threads=1, folder=tmp_path
    )
    assert failed == {"bad": "it went wrong"}
    texts = [(tmp_path / name).read_text().split() for name in "abc"]
    assert all((int(process) == os.getpid()) == (jobs == 1) for process, _ in texts)
    if jobs > 1:
        assert all(threads == "1" for _, threads in texts)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_signal_stops_all_of_them(jobs: int, tmp_path: Path) -> None:
    threading.Timer(4.0 if jobs > 1 else 1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(RunInterrupted):
        do_all(work, tasks(tmp_path, "long1", "long2", "a"), total=3, jobs=jobs, threads=1, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] in ([], ["a"])


def test_workers_of_a_cluster_do_it(tmp_path: Path) -> None:
    distributed = pytest.importorskip(
        "distributed", reason="Dask is an optional extra: crossbar-emulator[cluster]"
    )
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        failed = do_all(
            work, tasks(tmp_path, "a", "bad", "b", "c"), total=4, jobs=1, threads=1, folder=tmp_path,
            dask=cluster.scheduler_address,
        )  # fmt: skip
    assert failed == {"bad": "it went wrong"}
    processes = {int((tmp_path / name).read_text().split()[0]) for name in "abc"}
    assert os.getpid() not in processes


def test_a_cluster_that_does_not_answer_gets_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed", reason="Dask is an optional extra: crossbar-emulator[cluster]")
    monkeypatch.setattr("experiments.support.parallel._SECONDS_TO_CONNECT", 1)
    with pytest.raises(OSError, match=r"`dask` must be the address of a running scheduler, but none answers"):
        do_all(
            work, tasks(tmp_path, "a"), total=1, jobs=1, threads=1, folder=tmp_path, dask="tcp://127.0.0.1:9"
        )
