"""The documented table of an image's energy in all scopes of static power is what the code computes."""

from pathlib import Path

import pytest
import torch

from crossbar import convert_to_analog, load_profile, price, record_events
from crossbar.cost.static_power import StaticPower
from devices import get
from models import build

PAGE = Path(__file__).parents[2] / "docs" / "results" / "sharing_cost.md"
PROFILES = ("hermes-pcm", "isaac-reram", "rpu-ecram")
SCOPES = {
    "a layer's arrays": StaticPower(scope="layer"),
    "all arrays, while": StaticPower(scope="network"),
    "all arrays, always": StaticPower(scope="always-on", frame_rate=1000.0),
}


def energies_in_page(start):
    line = next(
        line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {start}")
    )
    return [cell.strip() for cell in line.split("|")[2:-1]]


@pytest.fixture(scope="module")
def ledgers():
    """One image through the two MNIST networks: one tile for each layer, and a tile for each location."""
    found = []
    for model in ("cnn_mnist", "fcn_mnist"):
        analog = convert_to_analog(build(model), get("pcm").rpu_config()).eval()
        with record_events(analog) as ledger:
            analog(torch.zeros(1, 1, 28, 28))
        found.append(ledger)
    return found


@pytest.mark.parametrize("start", ["nothing", *SCOPES])
def test_energy_of_an_image(start, ledgers):
    bills = [
        price(ledger, load_profile(profile), static=SCOPES.get(start, StaticPower()))
        for profile in PROFILES
        for ledger in ledgers
    ]
    computed = [bill.without_static if start == "nothing" else bill.with_digital for bill in bills]
    for shown, value in zip(energies_in_page(start), computed, strict=True):
        digits = len(shown.partition(".")[2])
        assert float(shown) == pytest.approx(value, abs=0.5 * 10.0**-digits)


def test_time_and_area_of_the_readme(ledgers):
    """One tile against a tile for each location: an eighth of the area, 45 times as long."""
    text = (PAGE.parents[2] / "README.md").read_text(encoding="utf-8")
    one, free = (price(ledger, load_profile("hermes-pcm")) for ledger in ledgers)
    assert f"({1e6 * one.sequential:.1f} against {1e6 * free.sequential:.2f} µs, `hermes-pcm`)" in text
    assert f"{one.sequential / free.sequential:.0f} times as long" in " ".join(text.split())
    assert round(free.area / one.area) == 8
