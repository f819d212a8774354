"""Workers of a Dask cluster in processes of their own: killed in the middle of their work, and of another version."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from experiments.support import parallel
from experiments.support.parallel import do_all
from helpers.cluster_work import work

distributed = pytest.importorskip(
    "distributed", reason="Dask is an optional extra: crossbar-emulator[cluster]"
)
NAMES = ("a", "b", "c", "d")


@pytest.fixture
def cluster():
    """A scheduler, and two workers that were started as on other machines."""
    repository = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (repository, repository / "tests")))}
    with distributed.LocalCluster(
        n_workers=0, processes=False, protocol="tcp://", dashboard_address=None
    ) as scheduler:
        address = scheduler.scheduler_address
        command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny",
                   "--no-dashboard"]  # fmt: skip
        workers = [
            subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for _ in range(2)
        ]
        try:
            with distributed.Client(address, set_as_default=False) as client:
                client.wait_for_workers(2, timeout=120)
            yield address, workers
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()


@pytest.mark.slow
def test_what_a_killed_worker_was_at_is_done_again_and_nothing_twice(cluster, tmp_path):
    address, workers = cluster

    def kill_one_at_work():
        while not list(tmp_path.glob("*.log")):
            time.sleep(0.05)
        begun = int(next(tmp_path.glob("*.log")).read_text().split()[1])
        os.kill(begun, signal.SIGKILL)

    killer = threading.Thread(target=kill_one_at_work)
    killer.start()
    tasks = {name: (tmp_path, name) for name in NAMES}
    failed = do_all(work, tasks, total=4, jobs=1, threads=1, folder=tmp_path, dask=address)
    killer.join()
    assert failed == {}
    logs = {name: (tmp_path / f"{name}.log").read_text().split("\n") for name in NAMES}
    assert all(sum(line.startswith("ended") for line in lines) == 1 for lines in logs.values())
    begun = [sum(line.startswith("begun") for line in lines) for lines in logs.values()]
    assert sorted(begun) == [1, 1, 1, 2]  # that of the killed worker once more
    assert sum(worker.poll() is not None for worker in workers) == 1


@pytest.mark.slow
def test_a_worker_of_another_version_is_refused(cluster, tmp_path, monkeypatch):
    address, _ = cluster
    here = parallel.describe_environment(1)
    other = {**here, "packages": {**here["packages"], "torch": "0.1"}}
    monkeypatch.setattr(parallel, "describe_environment", lambda threads: other)  # in this process only
    with pytest.raises(OSError, match=r"must have workers with the versions of here, but .* has torch"):
        do_all(work, {"a": (tmp_path, "a")}, total=1, jobs=1, threads=1, folder=tmp_path, dask=address)
