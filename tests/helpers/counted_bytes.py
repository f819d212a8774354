"""One training step in several processes, and what torch's own profiler sees them send each other.

DistributedDataParallel goes on as soon as an average has arrived; the thread that received it writes its event down
just after. On a busy machine the profile may have ended by then: events can be lost, but none are invented. So the
profile waits a little, and of some steps the one counts in which most was seen.
"""

import math
import os
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from crossbar import LocallyConnected2d, convert_to_analog, record_events, spread_images, spread_tiles
from crossbar.aihwkit.adapter import AnalogSGD
from devices import get

IMAGES, KERNELS, CHANNELS, SIDE = 12, 5, 2, 7
CASES = ("free", "in situ, one tile", "one kernel")
STEPS, SECONDS_AFTER = 3, 0.2


def network(case: str) -> nn.Module:
    """One layer of 5 x 5 locations: its tiles spread, or one kernel that learns from all images."""
    torch.manual_seed(0)
    placement = "free" if case == "free" else "time_multiplexed"
    digital = nn.Sequential(LocallyConnected2d(CHANNELS, KERNELS, 3, SIDE, bias=False, placement=placement))
    device = get("reram-sb").training_config() if case.startswith("in situ") else get("pcm").rpu_config()
    device.mapping.learn_out_scaling = False
    device.pre_post.input_range.enable = False
    return convert_to_analog(digital, device)


def seen_in_steps(case: str, rank: int, number: int) -> list[int]:
    """Return bytes received, those of averages, and what the ledger counts: the most of each of some steps."""
    steps = [step(case, rank, number) for _ in range(STEPS)]
    return [max(counts) for counts in zip(*steps, strict=True)]


def step(case: str, rank: int, number: int) -> list[int]:
    """Return bytes received, those of averages, and what the ledger counts of both."""
    model, x = network(case), torch.rand(IMAGES, CHANNELS, SIDE, SIDE)
    if case == "free":
        spread_tiles(model)
    else:
        model = spread_images(model)
        x = x.chunk(number)[rank]
        if case == "one kernel":
            model = DistributedDataParallel(model)
    learns = case.startswith("in situ")
    optimizer = (AnalogSGD if learns else torch.optim.SGD)(model.parameters(), lr=0.1)
    with (
        record_events(model) as ledger,
        torch.profiler.profile(record_shapes=True, acc_events=True) as profile,
    ):
        model(x).square().mean().backward()
        optimizer.step()
        time.sleep(SECONDS_AFTER)
    counted = ledger.total("serial_process_bytes")
    received_bytes = averaged = 0
    for event in profile.events():
        if event.name in ("gloo:all_gather", "gloo:recv"):
            size = math.prod(event.input_shapes[0])
            others = 1 if event.name == "gloo:recv" else number - 1
            received_bytes += others * size * (8 if event.input_shapes[0] == [1] else 4)
        if event.name == "gloo:all_reduce":
            averaged += 4 * math.prod(event.input_shapes[0])
    return [received_bytes, averaged, counted]


def count_in_process(rank: int, number: int, folder: str) -> None:
    """Count as one of several processes, and leave the numbers in the folder."""
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting-{number}", rank=rank, world_size=number
    )
    try:
        found = {case: seen_in_steps(case, rank, number) for case in CASES}
    finally:
        dist.destroy_process_group()
    torch.save(found, Path(folder) / f"{number} {rank}.pt")
