"""Every layer of a network: where it computes, how often, and what a study could not do with it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from crossbar.cost.bill import Bill
from crossbar.layers.locally_connected import LocallyConnected
from devices.units import MicroJoules

from ..drawing.sections import Section, Table
from ..runs.networks.layers import reasons

_NOT_COUNTED: Final = "not counted, nor priced"
_COUNTED: Final = (nn.Linear, nn.modules.conv._ConvNd, LocallyConnected)
# Layers of several matrices, which stand in one row.
_WHOLE: Final = (nn.RNNBase, nn.MultiheadAttention)
_KINDS_OF_WHOLE: Final = ("LSTM", "GRU", "RNN", "MultiheadAttention")
_ONE_TILE: Final = "the same in every scheme: one tile for all it multiplies"
_OF_STEPS: Final = "the same in every scheme: two tiles for each layer and direction serve all steps"
_OF_TOKENS: Final = "the same in every scheme: four tiles serve all tokens; scores and sums are digital"


@final
@dataclass(frozen=True, kw_only=True)
class LayerFacts:
    """One layer with parameters.

    Attributes:
        name: In the network.
        kind: Its class.
        parameters: How many it has.
        place: "tiles" or "digital".
        locations: Vectors that it multiplies for one input, if it multiplies.
        remark: Why it is digital, or why schemes leave it as it is.
    """

    name: str
    kind: str
    parameters: int
    place: str
    locations: int | None
    remark: str

    def to_json(self) -> dict[str, Any]:
        """Return all fields in the types of JSON."""
        return asdict(self)


def layers_of(network: nn.Module, example: Tensor, kept: Mapping[str, str]) -> list[LayerFacts]:
    """Look at every layer with parameters of a digital network, in its order.

    Args:
        network: The network.
        example: A batch that it takes.
        kept: By name, why a layer with locations is the same in every scheme.
    """
    why = reasons(network)
    locations = _locations(network, example)
    found = []
    whole: list[str] = []
    for name, module in network.named_modules():
        if any(name.startswith(prefix) for prefix in whole) or not list(module.parameters(recurse=False)):
            continue
        if isinstance(module, _WHOLE):
            whole.append(f"{name}.")
        number = sum(p.numel() for p in module.parameters())
        on_tiles = name in why and why[name] is None
        remark = kept.get(name, "") if on_tiles else why.get(name) or "nothing is multiplied by a matrix"
        if on_tiles and not remark:
            remark = _why_the_same(module)
        if not on_tiles and not isinstance(module, _COUNTED):
            remark = f"{remark}; {_NOT_COUNTED}"
        found.append(
            LayerFacts(
                name=name or "(model)",
                kind=type(module).__name__,
                parameters=number,
                place="tiles" if on_tiles else "digital",
                locations=locations.get(name),
                remark=remark,
            )
        )
    return found


def _why_the_same(module: nn.Module) -> str:
    """Return why all schemes leave a layer as it is; nothing if they do not."""
    if isinstance(module, nn.RNNBase):
        return _OF_STEPS
    if isinstance(module, nn.MultiheadAttention):
        return _OF_TOKENS
    return _ONE_TILE if isinstance(module, nn.Linear) else ""


@torch.no_grad()
def _locations(network: nn.Module, example: Tensor) -> dict[str, int]:
    """Count the vectors that each layer multiplies for one input; of several matrices, each of them."""
    counts: dict[str, int] = {}
    handles = []
    for name, module in network.named_modules():
        if isinstance(module, (*_COUNTED, *_WHOLE)):

            def note(layer: nn.Module, _: object, y: Any, name: str = name) -> None:
                y = y[0] if isinstance(layer, _WHOLE) else y
                y = y.data if isinstance(y, PackedSequence) else y
                outputs = y.shape[-1] if isinstance(layer, (nn.Linear, *_WHOLE)) else y.shape[1]
                counts[name] = counts.get(name, 0) + y.numel() // outputs // len(example)

            handles.append(module.register_forward_hook(note))
    was_training = network.training
    try:
        network.eval()(example)
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    return counts


def layer_section(
    layers: Sequence[LayerFacts], label: str, bills: Mapping[str, tuple[Bill, int]], where: str
) -> Section:
    """Return the table of all layers.

    Args:
        layers: The layers.
        label: What the network is called.
        bills: By scheme, what inference costs, and for how many images.
        where: On which device, learned how, the costs are.
    """
    header = ["layer", "class", "parameters", "where", "vectors / input"]
    header += [f"arrays; nJ / input, {scheme}" for scheme in bills]
    rows = []
    for layer in layers:
        cells = [_cost(layer, bill, images) for bill, images in bills.values()]
        vectors = "-" if layer.locations is None else f"{layer.locations:,}"
        rows.append(
            [layer.name, layer.kind, f"{layer.parameters:,}", layer.place, vectors, *cells, layer.remark]
        )
    header.append("remark")
    align = "llrlr" + "r" * len(bills) + "l"
    text = f"Costs: {where}. Functions without parameters (activations, pooling, sums) are digital, and not counted."
    return Section(
        title=f"Layers of {label}", text=(text,), table=Table(header=header, rows=rows, align=align)
    )


def _cost(layer: LayerFacts, bill: Bill, images: int) -> str:
    name = "" if layer.name == "(model)" else layer.name
    inside = f"{name}." if name else ""  # of a layer of several matrices, each is billed by a name of its own
    costs = [
        cost
        for billed, cost in bill.layers.items()
        if billed == name or (layer.kind in _KINDS_OF_WHOLE and billed.startswith(inside))
    ]
    if not costs:
        return "-"
    energy: MicroJoules = math.fsum(cost.total_energy for cost in costs) / max(images, 1)
    return f"{sum(cost.arrays for cost in costs):,}; {1e3 * energy:.3g}"
