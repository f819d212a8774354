"""How far data travel: the mean distance on a mesh, and what leaves a chip."""

from collections import Counter
from dataclasses import replace
from itertools import product

import pytest

from crossbar import EventLedger, load_profile, price
from crossbar.cost.distances import leaves_chip, mesh_hops, with_distances
from crossbar.cost.events import LayerEvents, LayerShape
from crossbar.cost.hardware_profile import Constant


@pytest.mark.parametrize("side", [1, 2, 3, 7])
def test_mean_distance_is_that_of_all_pairs(side):
    nodes = list(product(range(side), repeat=2))
    mean = sum(abs(a - c) + abs(b - d) for (a, b), (c, d) in product(nodes, nodes)) / len(nodes) ** 2
    assert mesh_hops(side**2) == pytest.approx(mean)


def ledger(tiles):
    shape = LayerShape(
        tiles=tiles, kernels=tiles, locations=tiles, in_size=4, out_size=3, tile_shape=(3, 4), in_channels=4,
        map_size=(1, tiles), placement="free",
    )  # fmt: skip
    counts = Counter(input_bytes=4 * tiles, output_bytes=3 * tiles, adc_conversions=3 * tiles)
    layer = LayerEvents(shape=shape)
    layer.counts["forward"] = counts
    return EventLedger(layers={"a": layer}, images=1)


def test_bytes_travel_further_in_a_larger_network():
    profile = load_profile("hermes-pcm")
    near, far = (price(ledger(100), profile, network=network) for network in ("local", "mesh"))
    crossing = 7 * 100 * profile["network_energy"]
    assert far.energy("movement") - near.energy("movement") == pytest.approx(crossing * (6.6 - 2))
    assert far.sequential == near.sequential
    with pytest.raises(ValueError, match="`network` must be one of local, mesh, but is 'tree'"):
        price(ledger(4), profile, network="tree")
    assert with_distances(profile, 1, "mesh")["hops"] == pytest.approx(1)


def test_what_leaves_a_chip_takes_links():
    profile = load_profile("hermes-pcm")
    assert leaves_chip(profile, 10**6) == 0
    small = replace(
        profile,
        constants={
            **profile.constants,
            "arrays_per_chip": Constant(value=64, unit="1", source="a chip of 64"),
            "link_energy": Constant(value=8, unit="pJ", source="assumed"),
        },
    )
    assert [leaves_chip(small, arrays) for arrays in (64, 65, 256)] == [0, 0.5, 0.75]
    one, several = (price(ledger(tiles), small).energy("movement") for tiles in (64, 256))
    plain, more = (price(ledger(tiles), profile).energy("movement") for tiles in (64, 256))
    assert one == pytest.approx(plain)
    assert several - more == pytest.approx(7 * 256 * 0.75 * 8e-6)
