"""Networks that give texts another look, from the configuration's `Architecture` section.

The generator is that of Wu et al., "Editing Text in the Wild" (2019), SRNet: one network turns the plain text into
letters of the look, guided by their middle lines; one paints the background without its text; one lays the letters on
it. It differs where that lets a light network learn in little time. As the plain letters lie where the styled ones are
to be (see `synth.style.pairs`), their features reach the decoder at every scale; middle lines, letters and coverage
share a decoder. And what can be taken from the picture of the look is not painted anew: the background where no text
covers it, and the colours of the letters; the last network adds to letters laid on the background by their coverage.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import paddle
from paddle import nn
from paddle.nn import functional as F

from ocr.config import StyleArchitecture
from ocr.models.layers import ConvNorm
from ocr.registry import Registry

_LEVELS = 3  # halvings of the resolution
_FUSED = 2  # the last network's: it has only to blend
_COLOURS = 4  # that letters are painted with: fill, rim, side, shadow


class Restyled(NamedTuple):
    """What a generator makes; `float32` N × channels × H × W.

    Attributes:
        ink: 1 channel, 0 to 1: coverage of the letters in the picture of the look.
        skeleton: 1 channel, 0 to 1: middle lines of the letters.
        text: 3 channels, -1 to 1: the letters without background.
        mask: 1 channel, 0 to 1: their coverage.
        background: 3 channels, -1 to 1: without the text of the style.
        fused: 3 channels, -1 to 1: the letters on the background.
    """

    ink: Any
    skeleton: Any
    text: Any
    mask: Any
    background: Any
    fused: Any


class _Encoder(nn.Layer):
    """Features of a picture at the whole resolution and after each halving, twice as many each time."""

    def __init__(self, in_channels: int, width: int, levels: int) -> None:
        super().__init__()
        self.stem = ConvNorm(in_channels, width)
        sizes = [width << level for level in range(levels + 1)]
        self.stages = nn.LayerList(
            [
                nn.Sequential(
                    ConvNorm(sizes[level], sizes[level + 1], stride=2), ConvNorm(sizes[level + 1], sizes[level + 1])
                )
                for level in range(levels)
            ]
        )

    def forward(self, x: Any) -> list[Any]:
        features = [self.stem(x)]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features


class _Doubling(nn.Layer):
    """Twice the resolution: each pixel becomes two by two, which do not overlap."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        weights = nn.initializer.KaimingNormal()
        self.conv = nn.Conv2DTranspose(in_channels, out_channels, 2, stride=2, weight_attr=weights, bias_attr=False)
        self.norm = nn.BatchNorm2D(out_channels)

    def forward(self, x: Any) -> Any:
        return F.relu(self.norm(self.conv(x)))


class _Decoder(nn.Layer):
    """From the coarsest features to the whole resolution; at each scale others are added."""

    def __init__(self, width: int, levels: int) -> None:
        super().__init__()
        sizes = [width << level for level in reversed(range(levels))]
        self.grow = nn.LayerList([_Doubling(2 * size, size) for size in sizes])
        self.smooth = nn.LayerList([ConvNorm(size, size) for size in sizes])

    def forward(self, x: Any, others: list[Any]) -> list[Any]:
        """`others` from the finest on; the features of each scale, likewise."""
        found = []
        for number, grow in enumerate(self.grow):
            x = self.smooth[number](grow(x) + others[len(self.grow) - 1 - number])
            found.append(x)
        return found[::-1]


class _Residual(nn.Layer):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = ConvNorm(channels, channels), ConvNorm(channels, channels, activation=None)

    def forward(self, x: Any) -> Any:
        return F.relu(x + self.second(self.first(x)))


def _last(in_channels: int, out_channels: int) -> Any:
    """A convolution whose results are small at first."""
    return nn.Conv2D(in_channels, out_channels, 3, padding=1, weight_attr=nn.initializer.Normal(0.0, 0.01))


class _Inpainter(nn.Layer):
    """From the picture of a look to its letters' coverage, its background, and the features that these were made of.

    Where nothing covers it the background is the picture itself.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.encode = _Encoder(3, width, _LEVELS)
        self.blocks = nn.Sequential(*(_Residual(width << _LEVELS) for _ in range(blocks)))
        self.decode = _Decoder(width, _LEVELS)
        self.ink, self.guide = nn.Conv2D(width, 1, 3, padding=1), ConvNorm(width + 1, width)
        self.cover, self.fill = nn.Conv2D(width, 1, 3, padding=1), nn.Conv2D(width, 3, 3, padding=1)

    def forward(self, style: Any) -> tuple[Any, Any, list[Any]]:
        features = self.encode(style)
        features = self.decode(self.blocks(features[-1]), features)
        ink = F.sigmoid(self.ink(features[0]))
        guided = self.guide(paddle.concat([features[0], ink], axis=1))
        covered = F.sigmoid(self.cover(guided))
        return ink, (1 - covered) * style + covered * F.tanh(self.fill(guided)), features


class _Converter(nn.Layer):
    """From the picture of a look, what the inpainter saw in it, and a plain text to middle lines, letters and coverage.

    Letters are painted in a few colours, each a weighed mean of the picture's own; the first is that of its letters.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        deep = width << _LEVELS
        self.look, self.plain = _Encoder(3, width, _LEVELS), _Encoder(1, width, _LEVELS)
        self.join = ConvNorm(3 * deep, deep, 1)
        self.blocks = nn.Sequential(*(_Residual(deep) for _ in range(blocks)))
        self.decode = _Decoder(width, _LEVELS)
        self.line = nn.Conv2D(width, 1, 3, padding=1)
        self.guide = ConvNorm(width + 1, width)
        self.cover = nn.Conv2D(width, 1, 3, padding=1)
        self.find, self.mix = nn.Conv2D(width, _COLOURS - 1, 3, padding=1), nn.Conv2D(width, _COLOURS, 3, padding=1)
        self.paint = _last(width, 3)

    def forward(self, style: Any, ink: Any, seen: Any, plain: Any) -> tuple[Any, Any, Any]:
        look, letters = self.look(style)[-1], self.plain(plain)
        # By a sum: paddle2onnx writes the unknown width into what it makes of `expand_as`.
        everywhere = look * 0.0 + look.mean(axis=[2, 3], keepdim=True)
        deep = self.blocks(self.join(paddle.concat([look, everywhere, letters[-1]], axis=1)))
        fine = self.decode(deep, letters)[0]
        skeleton = F.sigmoid(self.line(fine))
        guided = self.guide(paddle.concat([fine, skeleton], axis=1))
        mask = F.sigmoid(self.cover(guided))
        found = paddle.concat([ink, F.sigmoid(self.find(seen))], axis=1)
        shares = F.softmax(self.mix(guided), axis=1)
        text = F.tanh(self.paint(guided))
        for number in range(_COLOURS):
            weights = found[:, number : number + 1]
            # Where nothing is found the colour is grey, as the ground is that letters are learnt on.
            total = weights.sum(axis=[2, 3], keepdim=True) + 1.0
            colour = (weights * style).sum(axis=[2, 3], keepdim=True) / total
            text = text + mask * shares[:, number : number + 1] * colour
        return skeleton, paddle.clip(text, -1.0, 1.0), mask


class _Fuser(nn.Layer):
    """Letters, their coverage, the background and its features to the picture."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encode = _Encoder(4, width, _FUSED)
        self.decode = _Decoder(width, _FUSED)
        self.paint = _last(width, 3)

    def forward(self, text: Any, mask: Any, background: Any, features: list[Any]) -> Any:
        own = self.encode(paddle.concat([text, mask], axis=1))
        others = [own[0] + features[0], own[1] + features[1]]
        change = F.tanh(self.paint(self.decode(own[2] + features[2], others)[0]))
        # Letters hold their own coverage already: they stand on grey, which is zero.
        return paddle.clip(text + (1 - mask) * background + change, -1.0, 1.0)


class SRNet(nn.Layer):
    """The generator.

    Args:
        width: channels at the whole resolution; twice as many after each of the three halvings.
        blocks: residual blocks at the coarsest scale, of each of the first two networks.

    Raises:
        ValueError: width or blocks are out of range.
    """

    def __init__(self, *, width: int = 32, blocks: int = 4) -> None:
        super().__init__()
        if not 4 <= width <= 128 or not 0 <= blocks <= 16:
            raise ValueError(f"width goes from 4 to 128 and blocks from 0 to 16, not {width} and {blocks}")
        self.conversion = _Converter(width, blocks)
        self.inpainting = _Inpainter(width, blocks)
        self.fusion = _Fuser(width)

    def forward(self, images: Any) -> Restyled:
        """Give plain texts the look of pictures.

        Args:
            images: `float32` N × 4 × H × W, normalised: blue, green and red of the look, grey of the plain text; H and
                W multiples of 8.
        """
        style, plain = images[:, :3], images[:, 3:]
        ink, background, features = self.inpainting(style)
        skeleton, text, mask = self.conversion(style, ink, features[0], plain)
        return Restyled(ink, skeleton, text, mask, background, self.fusion(text, mask, background, features))


class PatchDiscriminator(nn.Layer):
    """Scores of patches, from a pair of pictures side by side in the channels (Isola et al., "pix2pix", 2017).

    Without normalisation: a batch's other pictures are no part of what a patch looks like.

    Args:
        in_channels: of the pair.
        width: channels after the first of three halvings.

    Raises:
        ValueError: width is out of range.
    """

    def __init__(self, in_channels: int, *, width: int = 32) -> None:
        super().__init__()
        if not 4 <= width <= 256:
            raise ValueError(f"width goes from 4 to 256, not {width}")
        sizes = (in_channels, width, 2 * width, 4 * width)
        self.layers = nn.LayerList([nn.Conv2D(a, b, 4, stride=2, padding=1) for a, b in pairwise(sizes)])
        self.score = nn.Conv2D(sizes[-1], 1, 3, padding=1)

    def forward(self, pair: Any) -> Any:
        """N × in_channels × H × W → N × 1 × H / 8 × W / 8; high: real."""
        for layer in self.layers:
            pair = F.leaky_relu(layer(pair), 0.2)
        return self.score(pair)


GENERATORS: Registry[Any] = Registry("generator")
GENERATORS.register("SRNet")(SRNet)
DISCRIMINATORS: Registry[Any] = Registry("discriminator")
DISCRIMINATORS.register("Patch")(PatchDiscriminator)


class StyleModel(nn.Layer):
    """A generator, and what judges it while it is trained.

    Attributes:
        generator: see `SRNet`.
        discriminators: of the background (beside the picture of the look) and of the whole (beside the plain text);
            None without.
    """

    def __init__(self, generator: Any, discriminators: Any) -> None:
        super().__init__()
        self.generator, self.discriminators = generator, discriminators

    def forward(self, images: Any) -> Restyled:
        """See `SRNet.forward`."""
        found: Restyled = self.generator(images)
        return found


def build_style(architecture: StyleArchitecture) -> StyleModel:
    """The networks that a configuration describes, their weights drawn by Paddle's global generator (`paddle.seed`).

    Raises:
        ScriptoriumError: an unknown part or key, or a value that does not fit; names the key.
    """
    generator = GENERATORS.build(architecture.Generator, "Architecture.Generator")
    discriminators = None
    if architecture.Discriminator is not None:
        where = "Architecture.Discriminator"
        discriminators = nn.LayerDict(
            {
                "background": DISCRIMINATORS.build(architecture.Discriminator, where, in_channels=6),
                "fusion": DISCRIMINATORS.build(architecture.Discriminator, where, in_channels=4),
            }
        )
    return StyleModel(generator, discriminators)
