"""What a step costs on some machines that share it: computed from closed forms and a hardware profile."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, final

from crossbar import EventLedger, HardwareProfile, price
from crossbar.cost.closed_forms import (
    Step,
    bytes_of_gradients,
    bytes_of_maps,
    bytes_of_updates,
    shares,
)
from crossbar.cost.events import LayerEvents, LayerShape
from devices.units import Dimensionless, MicroJoules, Seconds

Scheme = Literal["one tile, pulses", "one tile, gradients", "copies, pulses", "free"]
SCHEMES: Final[Mapping[Scheme, str]] = {
    "one tile, pulses": "one tile in every machine; machines share images and send each other all vectors",
    "one tile, gradients": "likewise; gradients of weights are computed digitally and averaged",
    "copies, pulses": "a tile for every location, all with one kernel, in every machine; as the first",
    "free": "a tile and a kernel for every location, each in one machine; maps of outputs are sent",
}
CHANNELS: Final = 3
KERNEL: Final = 7
STRIDE: Final = 2
_SLOTS: Final = 31  # of a pulse train, as aihwkit's default
# assumed: of the slots of a train, those in which a line pulses; update management keeps it about there.
_DUTY: Final = 0.1


@final
@dataclass(frozen=True, kw_only=True)
class Point:
    """A step of one layer on some machines.

    Attributes:
        scheme: How kernels and images lie on tiles and machines.
        side: Of the images.
        kernels: Outputs of a location.
        batch: Images of the step, of all machines.
        machines: How many there are.
        seconds: Time of the busiest machine's arrays and digital units.
        energy: Of all machines', without what they send.
        received: Bytes that one machine receives.
        waiting: Time of the exchanges, one after the other.
        sent_energy: Of all that is sent.
        emulated: Measured time of the processor for the step in one process, or None.
    """

    scheme: Scheme
    side: int
    kernels: int
    batch: int
    machines: int
    seconds: Seconds
    energy: MicroJoules
    received: int
    waiting: Seconds
    sent_energy: MicroJoules
    emulated: Seconds | None = None

    @property
    def ratio(self) -> Dimensionless:
        """Communication over computation, in time."""
        return self.waiting / self.seconds


def locations_of(side: int) -> int:
    """Return how many locations there are, with a padding of half a kernel."""
    return (-(-side // STRIDE)) ** 2


def shape_of(scheme: Scheme, side: int, kernels: int, locations: int) -> LayerShape:
    """Return the layer as it lies on one machine.

    Args:
        scheme: How.
        side: Of the images.
        kernels: Outputs of a location.
        locations: Of this machine.
    """
    inputs, across = CHANNELS * KERNEL**2, -(-side // STRIDE)
    tiles = 1 if scheme.startswith("one tile") else locations
    return LayerShape(
        locations=locations,
        kernels=tiles if scheme == "free" else 1,
        tiles=tiles,
        in_size=inputs,
        out_size=kernels,
        tile_shape=(kernels, inputs),
        kernel_size=(KERNEL, KERNEL),
        in_channels=CHANNELS,
        stride=(STRIDE, STRIDE),
        map_size=(across, across),
        width=locations // tiles,
        devices_per_weight=1,
        placement=scheme,
    )


def cost(
    scheme: Scheme, side: int, kernels: int, batch: int, machines: int, profile: HardwareProfile
) -> Point:
    """Compute what a step costs.

    Args:
        scheme: How kernels and images lie on tiles and machines.
        side: Of the images.
        kernels: Outputs of a location.
        batch: Images of the step.
        machines: How many share it.
        profile: What events cost.
    """
    locations, inputs = locations_of(side), CHANNELS * KERNEL**2
    own_images = max(shares(batch, machines))

    def step(images: int) -> Step:
        return Step(images=images, passes_on=False, slots=_SLOTS, duty=_DUTY)

    if scheme == "free":
        shape = shape_of(scheme, side, kernels, max(shares(locations, machines)))
        events = step(batch).events(shape)
        received, exchanges = bytes_of_maps(locations, kernels, batch, machines), 1
    else:
        shape = shape_of(scheme, side, kernels, locations)
        events = step(own_images).events(shape)
        if scheme == "one tile, gradients":
            macs = own_images * locations * shape.cells
            events.counts["update"].clear()
            events.add("gradient", digital_macs=macs, accumulator_bytes=8 * macs)
            received, exchanges = bytes_of_gradients(shape.cells, machines), 2 * (machines - 1)
        else:  # every machine's devices receive the pulses of all images
            events.counts["update"] = step(batch).events(shape).counts["update"]
            received, exchanges = bytes_of_updates(batch * locations, inputs + kernels, machines), 4
    exchanges = exchanges if machines > 1 else 0
    bill = price(_ledger(events, own_images), profile).layers["layer"]
    waiting = received * profile["byte_time"] + exchanges * profile["latency"]
    return Point(
        scheme=scheme,
        side=side,
        kernels=kernels,
        batch=batch,
        machines=machines,
        seconds=sum(bill.seconds.values()),
        energy=machines * sum(sum(parts.values()) for parts in bill.energy.values()),
        received=received,
        waiting=waiting,
        sent_energy=8 * machines * received * profile["bit_energy"],
    )


def _ledger(events: LayerEvents, images: int) -> EventLedger:
    return EventLedger(layers={"layer": events}, training_images=images, steps=1)
