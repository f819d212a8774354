"""Every layer of a network of one's own: where it computes, how often, and what a study could not do with it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from crossbar.cost.bill import Bill
from crossbar.layers.locally_connected import LocallyConnected
from devices.units import MicroJoules

from ..drawing.sections import Section, Table
from ..runs.networks.layers import reasons

_NOT_COUNTED: Final = "not counted, nor priced"
_COUNTED: Final = (nn.Linear, nn.modules.conv._ConvNd, LocallyConnected)


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
        if isinstance(module, nn.RNNBase | nn.MultiheadAttention):
            whole.append(f"{name}.")
        number = sum(p.numel() for p in module.parameters())
        on_tiles = name in why and why[name] is None
        remark = kept.get(name, "") if on_tiles else why.get(name) or "nothing is multiplied by a matrix"
        if on_tiles and not remark and isinstance(module, nn.Linear):
            remark = "the same in every scheme: one tile for all it multiplies"
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


@torch.no_grad()
def _locations(network: nn.Module, example: Tensor) -> dict[str, int]:
    """Count the vectors that each layer multiplies for one input."""
    counts: dict[str, int] = {}
    handles = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd | LocallyConnected):

            def note(layer: nn.Module, _: object, y: Tensor, name: str = name) -> None:
                outputs = y.shape[-1] if isinstance(layer, nn.Linear) else y.shape[1]
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
    cost = bill.layers.get("" if layer.name == "(model)" else layer.name)
    if cost is None:
        return "-"
    energy: MicroJoules = cost.total_energy / max(images, 1)
    return f"{cost.arrays:,}; {1e3 * energy:.3g}"
