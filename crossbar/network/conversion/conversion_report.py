"""What of a network became analog, what stayed digital, and why."""

from dataclasses import dataclass, field
from typing import Final, Literal, final

from torch import nn

from ...cost.tables import Sheet
from ...layers.analog_layer import AnalogLayer
from ...layers.attention import AnalogMultiheadAttention, ScaledDotProduct
from ...layers.placed_layer import PlacedLayer
from ..named_refusals import foreign_layers

Place = Literal["analog", "aihwkit's own", "digital", "excluded", "tied"]

_NOTES: Final = "conversion_notes"

_REASONS: Final[tuple[tuple[type[nn.Module], str], ...]] = (
    (
        nn.modules.linear.NonDynamicallyQuantizableLinear,
        "attention reads its weight without calling the layer",
    ),
    (nn.MultiheadAttention, "a subclass of attention may compute otherwise, so it is left as it is"),
    (nn.RNNBase, "a subclass of a recurrent layer may compute otherwise, so it is left as it is"),
    (nn.RNNCellBase, "recurrent cells have no analog counterpart"),
    (
        nn.utils.parametrize.ParametrizationList,
        "a parametrization computes the weight anew at every pass; remove it before converting",
    ),
    (nn.Linear, "a subclass of nn.Linear may compute otherwise, so it is left as it is"),
    (nn.modules.conv._ConvNd, "a subclass of a convolution may compute otherwise, so it is left as it is"),
)
_TABLES: Final = (nn.Embedding, nn.EmbeddingBag)


@final
@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """One layer with weights.

    Attributes:
        name: In the model, as in `layer3.0.conv1`; empty for the model itself.
        kind: Its class.
        place: Where it computes: on tiles of this emulator, on aihwkit's own, or digitally ("excluded" if that was
            asked for). "tied": it is another layer of the model, named in the remark.
        weights: How many it has, without its bias.
        remark: Tiles and placement, or why it is digital, or what conversion has changed.
        is_unforeseen: Whether somebody who expects a chip should know.
    """

    name: str
    kind: str
    place: Place
    weights: int
    remark: str
    is_unforeseen: bool = False

    def __str__(self) -> str:
        return f"{self.name or '(model)'!r} ({self.kind}: {self.remark})"


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class ConversionReport:
    """Every layer with weights of a model, in the model's order; printed, a table."""

    layers: tuple[LayerReport, ...]

    def names(self, place: Place) -> list[str]:
        """Return the layers that compute in one place."""
        return [layer.name for layer in self.layers if layer.place == place]

    @property
    def unforeseen(self) -> tuple[LayerReport, ...]:
        """Layers with weights that are digital without having been excluded, or were changed on the way."""
        return tuple(layer for layer in self.layers if layer.is_unforeseen)

    def __repr__(self) -> str:
        places = [layer.place for layer in self.layers]
        counts = [f"{places.count(place)} {place}" for place in dict.fromkeys(places)]
        return f"ConversionReport({', '.join(counts) or 'no layers with weights'})"

    def __str__(self) -> str:
        return str(self._sheet())

    def _repr_html_(self) -> str:
        return self._sheet().to_html()

    def _sheet(self) -> Sheet:
        heads = ("layer", "weights", "", "class", "remark")
        rows = [
            (layer.name or "(model)", f"{layer.weights:,}", layer.place, layer.kind, layer.remark)
            for layer in self.layers
        ]
        return Sheet(rows=[heads, *rows], sides="<><<<")


@dataclass
class ConversionNotes:
    """What only the conversion knew; kept with the model that it made.

    Attributes:
        excluded: Names that were to stay digital, with everything in them.
        remarks: What conversion has changed, by name of the layer.
    """

    excluded: frozenset[str] = frozenset()
    remarks: dict[str, str] = field(default_factory=dict)

    def keep_with(self, model: nn.Module) -> None:
        """Store the notes where `conversion_report` looks for them."""
        model.__dict__[_NOTES] = self

    def without(self, prefix: str) -> "ConversionNotes":
        """Return the notes with the names that layers have where the name of the model itself is left out."""
        if not prefix:
            return self
        excluded = frozenset(name.removeprefix(f"{prefix}.") for name in self.excluded)
        return ConversionNotes(excluded, {n.removeprefix(f"{prefix}."): r for n, r in self.remarks.items()})

    def excludes(self, name: str) -> bool:
        """Tell whether a layer, or something that it is a part of, was to stay digital."""
        return any(name == one or name.startswith(f"{one}.") for one in self.excluded)


def forget_notes(model: nn.Module) -> None:
    """Forget what the conversion knew: the model is another one."""
    model.__dict__.pop(_NOTES, None)


def conversion_report(model: nn.Module) -> ConversionReport:
    """Say which layers of a model compute on tiles, which do not, and why.

    A layer counts if it has a weight with two dimensions or more: what normalises or only adds has none. The digital
    products of an attention on tiles have a line of their own.

    Args:
        model: A model, best one that `convert_to_analog` has made: then it also knows what was excluded on purpose.

    Example:
        >>> from crossbar import AnalogLinear
        >>> print(conversion_report(nn.Sequential(AnalogLinear(4, 3), nn.LSTMCell(3, 2))))
        layer  weights           class         remark
        0           12  analog   AnalogLinear  1 tile
        1           40  digital  LSTMCell      recurrent cells have no analog counterpart
    """
    notes = model.__dict__.get(_NOTES, ConversionNotes())
    foreign = foreign_layers(model)
    rows: list[LayerReport] = []
    first: dict[int, str] = {}
    inside: list[str] = []
    for name, module in model.named_modules(remove_duplicate=False):
        if any(name.startswith(prefix) for prefix in inside):
            continue
        kind = type(module).__name__
        if isinstance(module, AnalogLayer) or name in foreign:
            inside.append(f"{name}." if name else "")
        adds = isinstance(module, AnalogMultiheadAttention)  # keys and values of its own, but no product
        own = [] if adds else [p for p in module.parameters(recurse=False) if p.dim() > 1]
        is_layer = own or isinstance(module, AnalogLayer | ScaledDotProduct) or name in foreign
        if not is_layer:
            continue
        if id(module) in first:
            row = LayerReport(
                name=name, kind=kind, place="tied", weights=0, remark=f"is {first[id(module)]!r}"
            )
        elif isinstance(module, AnalogLayer):
            row = _of_analog(name, module, notes)
        elif name in foreign:
            remark = "program_chip, age_chip, record_events and save_model refuse it"
            row = LayerReport(
                name=name, kind=kind, place="aihwkit's own", weights=0, remark=remark, is_unforeseen=True
            )
        else:
            row = _of_digital(name, module, own, notes)
        first.setdefault(id(module), name)
        rows.append(row)
        if name == "" and inside:
            break
    return ConversionReport(layers=tuple(rows))


def _of_analog(name: str, layer: AnalogLayer, notes: ConversionNotes) -> LayerReport:
    tiles = layer.tile_array.tiles
    remark = f"{tiles:,} tile{'' if tiles == 1 else 's'}"
    if isinstance(layer, PlacedLayer):
        remark = f"{remark}, {layer.placement.spec}"
    changed = notes.remarks.get(name)
    return LayerReport(
        name=name,
        kind=type(layer).__name__,
        place="analog",
        weights=layer.weight.numel(),
        remark=remark if changed is None else f"{remark}; {changed}",
        is_unforeseen=changed is not None,
    )


def _of_digital(name: str, module: nn.Module, own: list[nn.Parameter], notes: ConversionNotes) -> LayerReport:
    is_excluded = notes.excludes(name)
    is_product = isinstance(module, ScaledDotProduct)
    is_table = isinstance(module, _TABLES)
    if is_excluded:
        remark = "excluded"
    elif is_product:
        remark = "scores and weighted sums multiply activations, which no device holds"
    elif is_table:
        remark = "a table is looked up, nothing is multiplied"
    else:
        default = "no analog layer stands for this class"
        remark = next((reason for kind, reason in _REASONS if isinstance(module, kind)), default)
    changed = notes.remarks.get(name)
    return LayerReport(
        name=name,
        kind=type(module).__name__,
        place="excluded" if is_excluded else "digital",
        weights=sum(weight.numel() for weight in own),
        remark=remark if changed is None else f"{remark}; {changed}",
        is_unforeseen=changed is not None or not (is_excluded or is_table or is_product),
    )
