"""What a study found, for Python: plain rows, its figures, and its files."""

import html
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

from matplotlib.figure import Figure
from matplotlib.image import imread

from crossbar.cost.tables import Sheet
from devices.files import make_folder

_MOST_ROWS: Final = 30


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class StudyResult:
    """What a study found.

    Attributes:
        rows: One dictionary of plain numbers and texts for each line of its table.
        text: Its tables, as the command line prints them.
        files: Everything that it has written: tables, figures, pages, numbers.
        pictures: Its figures by name, the most telling one first.
        run: The folder of the run, or of the study.
    """

    rows: Sequence[Mapping[str, Any]]
    text: str
    files: Sequence[Path]
    run: Path
    pictures: Mapping[str, Path] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return (
            f"StudyResult({len(self.rows)} rows, figures: {', '.join(self.pictures) or 'none'}, {self.run})"
        )

    def _repr_html_(self) -> str:
        """Show the rows as a table in a notebook."""
        shown = self.rows[:_MOST_ROWS]
        if not shown:
            return f"<pre>{html.escape(self.text)}</pre>"
        heads = list(dict.fromkeys(name for row in shown for name in row))
        rows = [[_cell(row.get(name)) for name in heads] for row in shown]
        below = [f"Figures, drawn by .plot(name): {', '.join(self.pictures)}."] if self.pictures else []
        if len(self.rows) > len(shown):
            below.insert(0, f"{len(self.rows) - len(shown)} more rows: .rows, .to_frame().")
        return Sheet(rows=[heads, *rows], below=below).to_html()

    def to_frame(self) -> Any:
        """Return the rows as a pandas DataFrame.

        Raises:
            ImportError: If pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError(
                "`to_frame` must have pandas, but it is not installed. Use `.rows`, or `pip install pandas`."
            ) from None
        return pandas.DataFrame([dict(row) for row in self.rows])

    def plot(self, name: str | None = None) -> Figure:
        """Return a figure of the study, as it draws it into its folder.

        Args:
            name: Which one, of `pictures`; the first if None.

        Raises:
            ValueError: If there is no such figure.
        """
        if not self.pictures:
            raise ValueError("`plot` must have a figure to show, but this study has drawn none.")
        wanted = next(iter(self.pictures)) if name is None else name
        if wanted not in self.pictures:
            raise ValueError(
                f"`name` must be one of {', '.join(self.pictures)}, but is {wanted!r}. Choose one."
            )
        image = imread(self.pictures[wanted])
        height, width = image.shape[:2]
        figure = Figure(figsize=(width / 160, height / 160), dpi=160)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.imshow(image)
        axes.set_axis_off()
        return figure

    def save(self, path: str | Path) -> Path:
        """Copy tables, figures, pages and numbers into a folder.

        Args:
            path: The folder; made if it does not exist.

        Returns:
            The folder.
        """
        folder = Path(path)
        make_folder(folder)
        for file in self.files:
            if file.is_file():
                shutil.copyfile(file, folder / file.name)
        return folder


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
