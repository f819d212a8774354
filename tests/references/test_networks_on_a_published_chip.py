"""Any network on the chip of Y. Wu et al. 2023 (arXiv 2305.14547), with copies of a layer, by its counting rules.

Counted here from torch's own layers and nothing else: a location of a layer is one product of each 64 x 64 array that
its kernel is cut into; an operation takes 2.66 nJ, a product 8 groups x 9 cycles x 10 ns; c copies take 1 / c of the
locations each, rounded up.
"""

from math import ceil

import pytest
import torch
from aihwkit.simulator.configs import InferenceRPUConfig
from torch import nn

from crossbar import convert_to_analog, load_profile, price, record_events
from models.resnet import resnet20, small_vgg

LINES, OPERATION, PRODUCT = 64, 2.66e-3, 0.72e-6  # lines, µJ, s
NETWORKS = {"vgg-like": small_vgg, "resnet-like": resnet20}


def facts_of(network):
    """Locations, inputs and outputs of every convolution and dense layer, as torch runs them."""
    facts = {}

    def look(name):
        def hook(layer, given, result):
            locations = result[0, 0].numel() if isinstance(layer, nn.Conv2d) else 1
            facts[name] = locations, layer.weight[0].numel(), len(layer.weight)

        return hook

    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(look(name))
    network.eval()(torch.zeros(1, 3, 32, 32))
    return facts


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("copies", [1, 8])
def test_copies_of_a_named_layer_divide_its_time_and_nothing_else(kind, copies):
    facts = facts_of(NETWORKS[kind]())
    first, second = list(facts)[:2]
    chosen = {first: 8, second: 3} if copies == 8 else {}
    config = InferenceRPUConfig()
    config.mapping.max_input_size = config.mapping.max_output_size = LINES  # one hardware
    placement = {name: f"replicated(tiles={n})" for name, n in chosen.items()}
    analog = convert_to_analog(NETWORKS[kind](), config, (3, 32, 32), placement=placement or None).eval()
    with torch.no_grad(), record_events(analog) as ledger:
        analog(torch.zeros(1, 3, 32, 32))
    bill = price(ledger, load_profile("bulk-rram"))
    parts = {name: ceil(n / LINES) * ceil(m / LINES) for name, (_, n, m) in facts.items()}
    operations = sum(locations * parts[name] for name, (locations, _, _) in facts.items())
    times = [ceil(locations / chosen.get(name, 1)) * PRODUCT for name, (locations, _, _) in facts.items()]
    assert bill.operations == ledger.total("mvms") == operations
    assert bill.with_digital == pytest.approx(operations * OPERATION)
    assert bill.arrays == sum(parts[name] * chosen.get(name, 1) for name in facts)
    assert bill.sequential == pytest.approx(sum(times))
    assert bill.pipelined == pytest.approx(max(times))
    assert bill.notes == ()  # emulated and priced on the same arrays
