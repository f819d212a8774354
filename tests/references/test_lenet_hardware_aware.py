"""aihwkit's example of hardware-aware training, LeNet on MNIST for one epoch, on its tiles and on ours.

The settings are those of its examples/25_torch_tile_lenet5_hardware_aware.py with `InferenceRPUConfig`: learned input
ranges and output scales, clipping, remapping, weight noise (not one matrix per sample, which the C++ tiles do not
have). Both start from the same weights and see the same images in the same order; noise differs.

By hand, with the accuracies printed (minutes; an hour for `LENET_IMAGES=60000`, all of MNIST):

    python -m pytest -m slow -s tests/references/test_lenet_hardware_aware.py
"""

import os
import statistics
from pathlib import Path

import pytest
import torch
from aihwkit.nn.conversion import convert_to_analog as their_convert_to_analog
from torch import nn
from torchvision.datasets import MNIST

from crossbar import convert_to_analog
from crossbar.aihwkit.adapter import (
    AnalogSGD,
    BoundManagementType,
    InferenceRPUConfig,
    NoiseManagementType,
    WeightClipType,
    WeightModifierType,
    WeightRemapType,
)

DATA = Path(os.environ.get("XBAR_DATA", "../shared/data"))
IMAGES = int(os.environ.get("LENET_IMAGES", "4000"))
BATCH, LEARNING_RATE, SEEDS = 50, 0.1, (1, 2, 3)


def config():
    config = InferenceRPUConfig()
    mapping = config.mapping
    mapping.learn_out_scaling, mapping.weight_scaling_omega = True, 1.0
    mapping.weight_scaling_columnwise = True
    mapping.max_input_size = mapping.max_output_size = 256
    config.remap.type = WeightRemapType.LAYERWISE_SYMMETRIC
    config.clip.type, config.clip.sigma, config.clip.fixed_value = WeightClipType.LAYER_GAUSSIAN, 2.0, 1.0
    forward = config.forward
    forward.noise_management, forward.bound_management = NoiseManagementType.NONE, BoundManagementType.NONE
    forward.out_bound, forward.out_noise, forward.inp_res, forward.out_res = 10.0, 0.04, 2**8, 2**8
    config.modifier.type, config.modifier.std_dev = WeightModifierType.ADD_NORMAL, 0.1
    config.pre_post.input_range.enable = True
    return config


def lenet(seed):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 16, 5),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(512, 128),
        nn.Tanh(),
        nn.Linear(128, 10),
        nn.LogSoftmax(dim=1),
    )


def images(is_training):
    data = MNIST(str(DATA), train=is_training)
    return data.data[:, None].float() / 255, data.targets


def accuracy_after_one_epoch(convert, seed):
    model = convert(lenet(seed), config())
    optimizer = AnalogSGD(model.parameters(), lr=LEARNING_RATE)
    optimizer.regroup_param_groups(model)
    x, y = images(is_training=True)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:IMAGES]
    model.train()
    losses = []
    for chosen in order.split(BATCH):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[chosen]), y[chosen])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    x, y = images(is_training=False)
    with torch.no_grad():
        right = sum(
            int((model(x[i : i + 500]).argmax(1) == y[i : i + 500]).sum()) for i in range(0, len(x), 500)
        )
    return 100 * right / len(x), statistics.fmean(losses[35:45])


@pytest.mark.slow
@pytest.mark.skipif(
    not (DATA / "MNIST" / "raw").is_dir(), reason=f"needs MNIST in {DATA} (XBAR_DATA names it)"
)
def test_lenet_learns_as_well_on_our_tiles():
    found = {"theirs": [], "ours": []}
    for seed in SEEDS:
        for name, convert in (("theirs", their_convert_to_analog), ("ours", convert_to_analog)):
            accuracy, loss = accuracy_after_one_epoch(convert, seed)
            found[name].append(accuracy)
            print(f"seed {seed}, {name}: {accuracy:.2f} %, loss of steps 36 to 45: {loss:.3f}", flush=True)
    # Equal within the spread: Welch's t of two means of three seeds, two-sided, 99 % with 4 degrees of freedom.
    theirs, ours = found["theirs"], found["ours"]
    error = ((statistics.variance(theirs) + statistics.variance(ours)) / len(SEEDS)) ** 0.5
    assert abs(statistics.fmean(ours) - statistics.fmean(theirs)) <= 4.6 * error
