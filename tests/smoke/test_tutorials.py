"""The tutorials: executed, without an error in them; run again, they still run."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs" / "tutorials").glob("*.ipynb"))
by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@by_name
def test_every_cell_was_executed_in_order_without_an_error(path):
    cells = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs
    assert all(output.output_type != "error" for output in outputs)


@pytest.mark.slow
@by_name
def test_it_runs_again(path):
    from nbclient import NotebookClient

    NotebookClient(nbformat.read(path, 4), timeout=900, kernel_name="python3").execute()
