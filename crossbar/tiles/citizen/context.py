"""The parameter by which aihwkit's optimizers, and its users' loops over parameters, find a tile."""

from typing import Any

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ...aihwkit.adapter import AnalogContext, InferenceTileWithPeriphery, TileModule
from ...reading.periphery import Periphery
from ..memory import Memory

CONTEXT = "analog_ctx"
_SEVERAL = (
    "`{}` must not wrap devices that are trained in place: every process would have a chip of its own, which learns "
    "from its share of each batch only, and nothing makes them equal again. Call `spread_images` before."
)


class TileWithContext(TileModule, InferenceTileWithPeriphery):
    """A tile with aihwkit's `AnalogContext`: a parameter without meaning as a number.

    Where devices are trained in place, inputs and gradients of the batch wait in it for the update. Where an
    optimizer changes trained weights, it is only there to be found (`use_torch_update`), and needs no gradient. It
    belongs to one object in one process, so it is in no state dictionary, and a copy gets its own.
    """

    supports_ddp = True
    analog_ctx: AnalogContext
    memory: Memory
    rpu_config: Any
    periphery: Periphery

    def open_context(self) -> None:
        """Register a context of one's own."""
        context = AnalogContext(self)  # registers itself
        context.use_torch_update = not self.memory.learns_in_place
        context.requires_grad_(self.memory.learns_in_place)
        self.supports_ddp = not self.memory.learns_in_place

    def refuse_other_processes(self, *, are_known: bool) -> None:
        """Refuse a pass inside `DistributedDataParallel`, if the devices are trained in place.

        Args:
            are_known: Whether every process gives its devices the vectors of all; see `spread_images`.

        Raises:
            RuntimeError: If so.
        """
        learns = self.memory.learns_in_place and not are_known
        if learns and DistributedDataParallel._get_active_ddp_module() is not None:
            raise RuntimeError(_SEVERAL.format("DistributedDataParallel"))

    def _replicate_for_data_parallel(self) -> Any:
        if self.memory.learns_in_place:
            raise RuntimeError(_SEVERAL.format("DataParallel"))
        return super()._replicate_for_data_parallel()

    def __getstate__(self) -> dict[str, Any]:
        parameters = {name: value for name, value in self._parameters.items() if name != CONTEXT}
        context = self._parameters.get(CONTEXT)
        learns = None if context is None else context.requires_grad
        order = list(self._parameters)
        return {
            **self.__dict__,
            "_parameters": parameters,
            "context_learns": learns,
            "parameter_order": order,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        learns = state.pop("context_learns")
        order = state.pop("parameter_order", [])
        nn.Module.__setstate__(self, state)
        self.open_context()
        for name in order:  # optimizers, and their saved states, know parameters by their order
            self._parameters[name] = self._parameters.pop(name)
        if learns is not None and self.memory.learns_in_place:
            self.analog_ctx.requires_grad_(learns)
        self.memory.share_periphery(self.periphery)
