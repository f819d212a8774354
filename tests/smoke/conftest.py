"""Pages are looked at in a real browser, as wide as a telephone and a laptop."""

import html
import re
import shutil
import subprocess

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def in_chromium(tmp_path):
    """Show a page in headless Chromium: returns the width that it needs and has, and how many pictures it shows.

    In a frame of the width, as no window is so narrow; a script that only the test adds measures the page. Wide
    tables and figures scroll by themselves.
    """
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine to show the page in")

    def show(page: str, width: int) -> tuple[int, int, int]:
        measure = (
            "<script>onload = () => parent.document.title = document.documentElement.scrollWidth + ' ' + innerWidth"
            " + ' ' + [...document.images].filter(i => i.complete && i.naturalWidth > 0).length</script></body>"
        )
        whole = html.escape(page.replace("<details>", "<details open>").replace("</body>", measure))
        file = tmp_path / "page.html"
        file.write_text(
            f'<title>-</title><iframe style="width:{width}px; border:0" srcdoc="{whole}"></iframe>'
        )
        done = subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
             f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1600,900", "--dump-dom", file.as_uri()],
            capture_output=True, text=True, timeout=300, check=True,
        )  # fmt: skip
        needed, shown, pictures = map(
            int, re.search(r"<title>(\d+) (\d+) (\d+)</title>", done.stdout).groups()
        )
        return needed, shown, pictures

    return show
