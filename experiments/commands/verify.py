"""`xbar verify`: do the reference numbers of the README hold on this machine?"""

import contextlib
import io
import time
from dataclasses import replace
from typing import Any

from ..data.datasets import load_data
from ..runs.options.config import TrainConfig, available_threads
from ..runs.options.defaults import resolve
from ..runs.result import Result
from ..runs.run_folder import RunFolder
from ..runs.team.threads import use_threads
from ..support.answer import Answer, DoubtfulResult
from ..support.environment import describe_environment
from ..support.json_files import read_json, write_json
from ..support.progress_bar import progress_bar
from .config import VerifyConfig
from .train import run_train
from .verify_checks import Check, quick_checks, training_checks


def run_verify(config: VerifyConfig) -> Answer:
    """Compute all numbers, print a table and write verify.json.

    Returns:
        That file.

    Raises:
        DoubtfulResult: If a number does not hold; names how many.
        RunInterrupted: If the user stopped it.
    """
    threads = config.threads or available_threads()
    use_threads(threads)
    config.out.mkdir(parents=True, exist_ok=True)

    def train(wish: TrainConfig) -> Result:
        return _trained(replace(wish, out=config.out, threads=threads))

    checks = list(quick_checks())
    if not config.quick:
        checks += training_checks(train)
    rows = []
    started = time.monotonic()
    with progress_bar(total=len(checks), desc="verify", unit="number") as bar:
        for check in checks:
            rows.append(_row(check, check.measure()))
            bar.update()
    failed = [row for row in rows if not row["holds"]]
    file = config.out / "verify.json"
    write_json(file, {"environment": describe_environment(threads), "numbers": rows})
    print("\n" + "\n".join(_line(row) for row in rows))
    print(
        f"\n{len(rows) - len(failed)} of {len(rows)} numbers hold, in {time.monotonic() - started:.0f} s: "
        f"{file}"
    )
    if failed:
        raise DoubtfulResult(
            f"`verify` must find all numbers as the README states them, but {len(failed)} of {len(rows)} differ, "
            f"first: {failed[0]['name']}. Please report it, with verify.json.",
            file,
        )
    return file


def _trained(wish: TrainConfig) -> Result:
    """Train a network if it is not trained yet; its table would stand between ours."""
    data = load_data(wish.data, wish.data_dir, seed=wish.seed)
    folder = RunFolder.of(resolve(wish, data.image_shape))
    if not folder.result_file.exists():
        with contextlib.redirect_stdout(io.StringIO()):
            run_train(wish)
    return Result.from_json(read_json(folder.result_file))


def _row(check: Check, measured: float) -> dict[str, Any]:
    return {
        "name": check.name,
        "measured": measured,
        "expected": check.expected,
        "tolerance": check.tolerance,
        "why": check.why,
        "source": check.source,
        "holds": abs(measured - check.expected) <= check.tolerance,
    }


def _line(row: dict[str, Any]) -> str:
    verdict = "pass" if row["holds"] else "FAIL"
    return (
        f"{verdict}  {row['name']}\n"
        f"      {row['measured']:.4g}, expected {row['expected']:.4g} ± {row['tolerance']:.2g} ({row['why']}); "
        f"{row['source']}"
    )
