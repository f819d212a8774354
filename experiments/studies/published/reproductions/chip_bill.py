"""The bill of a published chip, for an image of its own network; what it says of training is not computed."""

from collections.abc import Callable
from typing import Any, ClassVar, Final, final

import torch
from torch import nn
from typing_extensions import override

from crossbar import convert_to_analog, load_profile, price, record_events
from crossbar.aihwkit.adapter import InferenceRPUConfig
from crossbar.cost.pricing import Bill
from devices.units import Dimensionless

from ....drawing.sections import Section
from ..tables import Key, key_of
from .reproduction import Reproduction

_FIRST: Final = "0"  # the first convolution


@final
class ChipBill(Reproduction):
    """A network is sent one image, and what happens in it is priced by the chip's own numbers."""

    table_name: ClassVar[str] = "chip-bill"
    trains: ClassVar[bool] = False

    @property
    @override
    def work(self) -> Callable[[Any], object]:
        return _nothing

    @override
    def pieces(self) -> dict[str, Any]:
        return {}

    @override
    def is_done(self, piece: Any) -> bool:
        return True

    @override
    def values(self) -> dict[Key, Dimensionless]:
        products, plain = _bill(copies=1)
        _, copied = _bill(copies=8)
        of_image = {
            "products": float(products),
            "tile operations": float(plain.operations),
            "energy in µJ": plain.with_digital,
            "latency in ms, serial": 1e3 * plain.sequential,
            "latency in ms, 8 copies": 1e3 * copied.pipelined,
        }
        return {key_of({"of": "an image", "what": name}): value for name, value in of_image.items()}

    @override
    def remarks(self) -> dict[Key, str]:
        of_training = [cell.key for cell in self.table.cells if dict(cell.key)["of"] == "training"]
        return dict.fromkeys(of_training, "not run: the paper's settings were not obtained")

    @override
    def more(self) -> list[Section]:
        text = (
            "The first convolution's copies lie on the diagonal of common arrays, as on the chip. The paper's time "
            "with 8 copies is that of its slowest layer, one image after the other. Training is not computed: the "
            "paper's settings were not obtained."
        )
        return [Section(title=_HOW, text=(text,))]

    @property
    @override
    def titles(self) -> tuple[str, ...]:
        return (_HOW,)


_HOW: Final = "How the chip's bill is computed"


def _nothing(_: Any) -> None:
    """Do nothing: the bill is computed where it is shown."""


def _bill(copies: int) -> tuple[int, Bill]:
    """Return the products and the bill of an image with so many copies of the first convolution."""
    network = nn.Sequential(
        nn.Conv2d(1, 4, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 12, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(192, 10),
    )  # fmt: skip
    placement = {_FIRST: f"replicated(tiles={copies})"} if copies > 1 else None
    analog = convert_to_analog(network, InferenceRPUConfig(), (1, 28, 28), placement=placement).eval()
    with torch.no_grad(), record_events(analog) as ledger:
        analog(torch.zeros(1, 1, 28, 28))
    # Emulated on tiles that hold each kernel whole, a product is one of a layer's kernel with a window.
    return ledger.total("mvms"), price(ledger, load_profile("bulk-rram"), packing={_FIRST: "block"})
