"""One idea a file, one room a folder: none so long or so full that a second idea hides in it."""

from helpers.source import REPOSITORY, modules

PACKAGES = ("crossbar", "experiments")
MOST_LINES = 400
MOST_FILES = 15  # python files of a folder; those of its subfolders count there


def files():
    """Return the python files of both packages."""
    return [file for name, file in modules().items() if name.partition(".")[0] in PACKAGES]


def test_no_file_is_longer_than_one_idea():
    lengths = {
        str(file.relative_to(REPOSITORY)): len(file.read_text(encoding="utf-8").splitlines())
        for file in files()
    }
    long = {name: length for name, length in lengths.items() if length > MOST_LINES}
    assert not long, f"over {MOST_LINES} lines: {long}. Look for the second idea in it."


def test_no_folder_is_fuller_than_one_room():
    folders = [file.parent.relative_to(REPOSITORY) for file in files()]
    full = {
        str(folder): folders.count(folder) for folder in set(folders) if folders.count(folder) > MOST_FILES
    }
    assert not full, (
        f"over {MOST_FILES} python files: {full}. Give what belongs together a folder of its own."
    )
