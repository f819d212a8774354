"""ResNet-20 and a small VGG for images of 3 x 32 x 32.

Sources: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, section 4.2, n = 3, with
shortcuts without weights (option A): 0.27 million parameters. Simonyan and Zisserman, "Very deep convolutional
networks for large-scale image recognition", ICLR 2015, for the manner of the VGG; its sizes are ours (assumed: small
enough for a laptop), with batch normalisation.
"""

from typing import Final, final

from torch import Tensor, nn
from torch.nn.functional import pad, relu

_WIDTHS: Final = (16, 32, 64)
_BLOCKS: Final = 3


@final
class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut without weights, which halves the map and fills up channels with zeros.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        stride: Step of the first convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self._stride, self._added = stride, outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inputs, height, width) to (batch, outputs, height / stride, width / stride)."""
        y = self.norm2(self.conv2(relu(self.norm1(self.conv1(x)))))
        before = self._added // 2
        x = pad(x[:, :, :: self._stride, :: self._stride], (0, 0, 0, 0, before, self._added - before))
        return relu(y + x)


def resnet20() -> nn.Sequential:
    """Build ResNet-20: 19 convolutions and a dense layer, 269,722 parameters."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, _WIDTHS[0], 3, padding=1, bias=False),
        nn.BatchNorm2d(_WIDTHS[0]),
        nn.ReLU(),
    ]
    inputs = _WIDTHS[0]
    for width in _WIDTHS:
        for block in range(_BLOCKS):
            layers.append(ResidualBlock(inputs, width, 2 if block == 0 and width != _WIDTHS[0] else 1))
            inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


def small_vgg() -> nn.Sequential:
    """Build a small VGG: three pairs of convolutions of 32, 64 and 128 channels, and two dense layers."""
    layers: list[nn.Module] = []
    inputs = 3
    for width in (32, 64, 128):
        for _ in range(2):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * 4 * inputs, 128), nn.ReLU(), nn.Linear(128, 10))
