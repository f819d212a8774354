"""What happened for all images of batches of which every process computes a part, from what each process has seen."""

from typing import Final, final

from torch import nn

from ...cost.closed_forms import bytes_of_gradients
from ...cost.events import EVENTS, EventLedger
from ...distributed import communication
from ...distributed.traffic import Traffic
from ...tiles.tile_array import TileArray

# What a layer does for each image; all else happens once, in every process alike.
_OF_IMAGES: Final = ("forward", "backward", "update", "gradient")
_TRAFFIC: Final = ("forward", "update")


@final
class SharedImages:
    """Puts a ledger of the own images together with those of the other processes.

    Args:
        model: What is recorded.
        ledger: Its ledger; pulses and writes, which are those of all images in every process, are not entered yet.
    """

    def __init__(self, model: nn.Module, ledger: EventLedger) -> None:
        self._model, self._ledger = model, ledger
        self._before = {name: self._received(name) for name in ledger.layers}

    @staticmethod
    def is_needed(model: nn.Module) -> bool:
        """Tell whether this process computes a part of the images."""
        return any(module.images is not None for module in model.modules() if isinstance(module, TileArray))

    def enter(self) -> None:
        """Count the images of all processes, and what they have sent each other. All call it together."""
        ledger = self._ledger
        counts = [layer.counts[phase] for layer in ledger.layers.values() for phase in _OF_IMAGES]
        own = [one[event] for one in counts for event in EVENTS]
        totals = iter(communication.totals([ledger.images, ledger.training_images, *own]))
        ledger.images, ledger.training_images = next(totals), next(totals)
        for one in counts:
            one.update({event: total - one[event] for event in EVENTS if (total := next(totals))})
        for name in ledger.layers:
            self._enter_traffic(name)

    def _enter_traffic(self, name: str) -> None:
        events, steps = self._ledger.layers[name], self._ledger.steps
        received = self._received(name).since(self._before[name])
        for phase in _TRAFFIC:
            of_all = communication.everyones(received.received[phase])
            events.add(
                phase,
                process_bytes=int(sum(of_all)),
                serial_process_bytes=int(max(of_all)),
                process_exchanges=received.exchanges[phase],
            )
        processes = communication.processes()
        averaged = bytes_of_gradients(self._averaged(name), processes)
        if averaged:
            events.add(
                "gradient",
                process_bytes=processes * averaged * steps,
                serial_process_bytes=averaged * steps,
                process_exchanges=steps,
            )

    def _received(self, name: str) -> Traffic:
        array = getattr(self._model.get_submodule(name), "analog_module", None)
        images = array.images if isinstance(array, TileArray) else None
        return Traffic() if images is None else images.traffic.copy()

    def _averaged(self, name: str) -> int:
        """Return of how many numbers of a layer torch's `DistributedDataParallel` averages the gradients."""
        layer = self._model.get_submodule(name)
        in_place = {id(module.analog_ctx) for module in layer.modules() if isinstance(module, TileArray)}
        return sum(p.numel() for p in layer.parameters() if p.requires_grad and id(p) not in in_place)
