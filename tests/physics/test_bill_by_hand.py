"""Whole bills of one image, calculated by hand: two schemes of sharing, two scopes of static power."""

import pytest
import torch
from torch import nn

from crossbar import LocallyConnected2d, StaticPower, convert_to_analog, load_profile, price, record_events
from crossbar.cost.left_out import LEFT_OUT
from devices import get

PICO, NANO = 1e-6, 1e-9  # µJ, s
CYCLE = 132.94 * NANO
PER_LINE = 1010.0 / 512  # µW: 1.01 mW for 256 word lines and 256 bit lines

# A kernel of 2 x 2 inputs and 3 outputs at 2 x 2 locations, then 12 inputs and 2 outputs.
DAC = (4 * 4 + 12) * 9.186 * PICO
ADC = (4 * 3 + 2) * 34.12 * PICO
CELLS = (4 * 12 + 24) * 35.88e-3 * PICO
SCALES = (4 * 3 + 2) * 0.23 * PICO
BUFFERS = (16 + 12 + 12 + 2) * 0.2 * PICO
HOP = 0.65 * PICO


def work(bytes_on_network: int) -> float:
    return DAC + ADC + CELLS + SCALES + BUFFERS + 2 * HOP * bytes_on_network


LOCAL, DENSE = (4 + 3) * PER_LINE, (12 + 2) * PER_LINE
BY_HAND = {
    # One array works four times; inputs lie beside it. Then the dense layer works once.
    ("time_multiplexed", "layer"): (work(12 + 2), LOCAL * 4 * CYCLE + DENSE * CYCLE, 5 * CYCLE, 2),
    ("time_multiplexed", "network"): (work(12 + 2), (LOCAL + DENSE) * 5 * CYCLE, 5 * CYCLE, 2),
    # Four arrays work once; their inputs cross the network.
    ("free", "layer"): (work(16 + 12 + 2), 4 * LOCAL * CYCLE + DENSE * CYCLE, 2 * CYCLE, 5),
    ("free", "network"): (work(16 + 12 + 2), (4 * LOCAL + DENSE) * 2 * CYCLE, 2 * CYCLE, 5),
}


@pytest.mark.parametrize(("scheme", "scope"), BY_HAND)
def test_an_image(scheme, scope):
    digital = nn.Sequential(LocallyConnected2d(1, 3, 2, 3, placement=scheme), nn.Flatten(), nn.Linear(12, 2))
    analog = convert_to_analog(digital, get("pcm").rpu_config()).eval()
    with record_events(analog) as ledger:
        analog(torch.zeros(1, 1, 3, 3))
    bill = price(ledger, load_profile("hermes-pcm"), static=StaticPower(scope=scope))
    energy, static, seconds, arrays = BY_HAND[scheme, scope]
    assert bill.without_static == pytest.approx(energy)
    assert bill.energy("static") == pytest.approx(static)
    assert bill.sequential == pytest.approx(seconds)
    assert bill.arrays == arrays
    assert bill.area == pytest.approx(arrays * 0.634e6)


def test_a_bill_says_what_it_leaves_out():
    layer = convert_to_analog(nn.Linear(4, 2), get("pcm").rpu_config()).eval()
    with record_events(layer) as ledger:
        layer(torch.zeros(1, 4))
    assert "LEFT_OUT" in str(price(ledger, load_profile("hermes-pcm")))
    told = " ".join(LEFT_OUT)
    for missing in ("zeros", "buffers", "routers", "off the chip", "digital", "technology"):
        assert missing in told, missing
