"""`xbar runs`: what lies in the folder of runs, when it was done, what came out, and how large it is."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, final

from crossbar.cost.tables import aligned
from devices.files import read_text

from ..data.chance import mark
from ..runs.result import Result
from ..runs.run_folder import RunFolder
from ..support.answer import Answer
from ..support.json_files import read_json
from .config import RunsConfig

Bytes = Annotated[int, "B"]
_MEGABYTE = 1_000_000


@final
@dataclass(frozen=True, kw_only=True)
class Listed:
    """A folder of a run or of a study.

    Attributes:
        name: Its name.
        when: When something in it was last written, as "2026-11-28 23:12".
        result: What came out, how far it got, or why it cannot be read.
        bytes: Its size.
    """

    name: str
    when: str
    result: str
    bytes: Bytes


def run_list(config: RunsConfig) -> Answer:
    """Print a line for each run and study, the newest last.

    Returns:
        The same, one `Listed` for each.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    if not config.folder.is_dir():
        raise FileNotFoundError(
            f"`folder` must be a folder of runs, but there is no folder {config.folder}. `xbar train` makes one."
        )
    found = list(listed(config.folder))
    answer = [asdict(entry) for entry in found]
    if not found:
        print(f"No run lies in {config.folder}. `xbar train` makes one.")
        return answer
    rows = [("run", "when", "result", "MB")]
    rows += [(entry.name, entry.when, entry.result, f"{entry.bytes / _MEGABYTE:.1f}") for entry in found]
    total = sum(entry.bytes for entry in found) / _MEGABYTE
    print(f"{aligned(rows, '<<<>')}\n\n{len(found)} folders in {config.folder}, {total:.1f} MB.")
    return answer


def listed(folder: Path) -> Iterator[Listed]:
    """Return the runs and studies of a folder, the newest last; of a damaged one, what is wrong with it."""
    found = []
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            states = [file.lstat() for file in path.rglob("*") if file.is_file() and not file.is_symlink()]
            changed = max((state.st_mtime for state in states), default=path.stat().st_mtime)
            found.append((changed, path.name, sum(state.st_size for state in states)))
    for changed, name, size in sorted(found):
        result = _result_of(folder / name)
        if result is not None:
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(changed))
            yield Listed(name=name, when=when, result=result, bytes=size)


def _result_of(path: Path) -> str | None:
    """Return what to say of a folder; None if it holds neither a run nor a study."""
    folder = RunFolder(path)
    try:
        if folder.result_file.exists():
            return _accuracy(Result.from_json(read_json(folder.result_file)))
        if folder.config_file.exists():
            done = len(read_text(folder.log_file, "run").splitlines()) if folder.log_file.exists() else 0
            return f"not finished: {done} of {folder.read_config().epochs} epochs"
    except (ValueError, OSError) as error:
        return f"damaged: {error}".partition(". ")[0]
    return _title(path)


def _accuracy(result: Result) -> str:
    """Say what a run has reached: as trained, and at the last of its times."""
    learned = mark([result.did_learn])
    if not result.times:
        values = result.as_trained or (result.digital_accuracy,)
        return f"{100 * sum(values) / len(values):.1f} % as trained{learned}"
    name = next((name for name in result.accuracy if name != "none"), "none")
    means = [mean for mean, _ in result.mean_and_std(name)]
    return f"{100 * means[0]:.1f} %, at last {100 * means[-1]:.1f} %{learned}"


def _title(path: Path) -> str | None:
    """Return what a study is about."""
    for file in sorted(path.glob("*.json")):
        try:
            content = read_json(file)
        except (ValueError, OSError):
            continue
        if isinstance(content, dict) and str(content.get("format", "")).startswith("crossbar-emulator study"):
            return f"study: {content.get('title') or content.get('study')}"
    return None
