"""What becomes of each layer of a network: which go onto tiles, which stay digital, and why."""

from torch import nn

from crossbar import CONVERSION_MAP, conversion_report
from crossbar.layers.analog_layer import AnalogLayer
from crossbar.network.conversion.conversion_report import LayerReport


def is_analog(network: nn.Module) -> bool:
    """Say whether a network has analog layers already."""
    return any(isinstance(layer, AnalogLayer) for layer in network.modules())


def stays_digital(network: nn.Module) -> list[str]:
    """Return the layers with weights of a digital network that no tile can stand for."""
    return [name for name, why in reasons(network).items() if name and why is not None]


def reasons(network: nn.Module) -> dict[str, str | None]:
    """Return by name, for each layer with weights, why it stays digital; None for those that go onto tiles."""
    found: dict[str, str | None] = {}
    of_module: dict[int, str | None] = {}
    modules = dict(network.named_modules(remove_duplicate=False))
    inside: list[str] = []
    for layer in conversion_report(network).layers:
        if any(layer.name.startswith(prefix) for prefix in inside):
            continue  # converted with what it is a part of
        module = modules[layer.name]
        if isinstance(module, AnalogLayer):
            of_module.setdefault(id(module), None)
        elif layer.place != "tied":
            of_module[id(module)] = layer.remark if type(module) not in CONVERSION_MAP else _why_not(module)
        found[layer.name] = of_module[id(module)]
        if isinstance(module, nn.MultiheadAttention) and found[layer.name] is None:
            inside.append(f"{layer.name}." if layer.name else "")
    return found


def _why_not(module: nn.Module) -> str | None:
    """Return why a layer of a class that has an analog counterpart has none itself."""
    if isinstance(module, nn.RNNBase) and module.proj_size:
        return "a projected state has no analog layer; put an nn.Linear behind the layer instead"
    return None


def layer_reports(model: nn.Module) -> tuple[LayerReport, ...]:
    """Return what `conversion_report` says of each layer, of those that were kept digital also why."""
    why = reasons(model)
    return tuple(
        LayerReport(
            name=layer.name,
            kind=layer.kind,
            place="digital" if layer.place == "excluded" else layer.place,
            weights=layer.weights,
            remark=why.get(layer.name) or layer.remark,
        )
        for layer in conversion_report(model).layers
    )
