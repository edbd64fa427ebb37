"""The paper's segmenter: one backbone, two DeepLabv3+ heads (Fig. 7)."""

from typing import Any, Self

import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from segmentation_models_pytorch.base import SegmentationHead, initialization
from segmentation_models_pytorch.decoders.deeplabv3.decoder import ASPPPooling, DeepLabV3PlusDecoder
from torch import Tensor, nn

from marsnb.errors import DataError, RecipeError
from marsnb.models import trunk as trunks
from marsnb.models._dilated import fold_dilated
from marsnb.models._weights import load_state
from marsnb.models.backbones import IMAGENET_MEAN, IMAGENET_STD, _random_state, build_backbone
from marsnb.models.classifier import freeze_batchnorm
from marsnb.models.trunk import TrunkFeatures

FEATURE_STRIDE = 4
"""Pixels of the image per element of the embedding, in each direction."""
OUTPUT_STRIDE = 16
"""Pixels per element of the backbone's last features; the paper does not say, DeepLabv3+ trains with 16."""


class Segmenter(nn.Module):
    """A backbone shared by a segmentation head and a contrastive head, both of DeepLabv3+.

    Images come in [0, 1] and are normalised inside, with buffers that a saved state dict brings along.

    Args:
        encoder: of segmentation-models-pytorch, dilated to `OUTPUT_STRIDE`.
        num_classes: number of classes; 4 in AI4Mars.
        embedding_dim: channels of the contrastive head; 128 in the paper.
        decoder_channels: width of both decoders; 256 in DeepLabv3+.
        dropout: share of channels' elements zeroed after the pyramid while training; 0.5 in the library.
        mean: of red, green and blue, subtracted from images in [0, 1].
        std: of red, green and blue, divided by after that.
        batchnorm: ``"train"``, or ``"frozen"``: the encoder's batch normalisation keeps its statistics, scale and
            shift, also after ``.train()``; the decoders' trains.

    Attributes:
        encoder: B_seg of the paper.
        decoder, head: H_seg, to class logits.
        decoder_s, head_s: H_seg^s, to embeddings.

    Shape:
        ``forward(x)``: ``(B, 3, H, W)`` in [0, 1], H and W multiples of 16, to logits ``(B, num_classes, H, W)``. Here
        and in the other maps, the `TrunkFeatures` of the images may stand in their place.

    Raises:
        RecipeError: ``batchnorm`` is neither of the two.

    Reference: Wang et al., arXiv 2206.02180, section 5.3 and Fig. 7; Chen et al., arXiv 1802.02611 (DeepLabv3+).
    """

    input_mean: Tensor
    input_std: Tensor

    def __init__(
        self,
        encoder: Any,
        num_classes: int,
        embedding_dim: int = 128,
        *,
        decoder_channels: int = 256,
        dropout: float = 0.5,
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
        batchnorm: str = "train",
    ) -> None:
        super().__init__()
        if batchnorm not in ("train", "frozen"):
            raise RecipeError(f"unknown batchnorm {batchnorm!r} of a segmenter; known: train, frozen")
        self.batchnorm = batchnorm
        self.trunk_parts: list[str] = []
        self.low_parts: list[str] = []
        self.tail_parts: list[str] = []
        self.encoder = encoder
        self.num_classes, self.embedding_dim = num_classes, embedding_dim
        self.decoder = _decoder(encoder, decoder_channels, dropout)
        self.head = _head(decoder_channels, num_classes, upsampling=FEATURE_STRIDE)
        self.decoder_s = _decoder(encoder, decoder_channels, dropout)
        self.head_s = _head(decoder_channels, embedding_dim, upsampling=1)
        fold_dilated(self)
        self.register_buffer("input_mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("input_std", torch.tensor(std).view(3, 1, 1))

    @property
    def network(self) -> nn.Module:
        """The encoder's own network, whose modules a trunk is named by."""
        return getattr(self.encoder, "model", self.encoder)

    def cut_at(self, name: str) -> Self:
        """Freeze the encoder up to a named module at stride 4 or deeper, e.g. ``blocks.5``, which is the trunk's last.

        Raises:
            RecipeError: there is no such module, it comes before stride 4, or the network cannot be cut.
        """
        trunk, tail = trunks.cut(self.network, name)
        tail = [part for part in tail if part not in trunks.HEADS]
        if not tail:
            raise RecipeError(f"trunk {name!r} leaves nothing of the encoder to learn: cut after {trunk[-2]}")
        x = torch.zeros(2, 3, 64, 64, device=self.input_mean.device)
        training = self.training
        self.low_parts, self.trunk_parts, self.tail_parts = [], [], []
        self.eval()
        with torch.no_grad():
            whole = self.features(x)
            at, low = x, 0
            for i, part in enumerate(trunk):
                at = self.network.get_submodule(part)(at)
                low = i + 1 if at.shape[-1] * FEATURE_STRIDE == x.shape[-1] else low
            if not low:
                raise RecipeError(f"trunk {name!r} ends before the features at stride {FEATURE_STRIDE}: cut deeper")
            self.low_parts, self.trunk_parts, self.tail_parts = trunk[:low], trunk[low:], tail
            low_map = trunks.run(self.network, self.low_parts, (x - self.input_mean) / self.input_std)
            parts = self.features(TrunkFeatures(low_map, trunks.run(self.network, self.trunk_parts, low_map)))
            if not all(torch.equal(whole[i], parts[i]) for i in (2, -1)):
                raise RecipeError(
                    f"{type(self.network).__name__} is not its modules one after the other: leave trunk out"
                )
        self.train(training)
        return self

    def train(self, mode: bool = True) -> Self:
        """As ``nn.Module.train``, but the trunk and frozen batch normalisation stay in evaluation mode."""
        super().train(mode)
        if self.batchnorm == "frozen":
            freeze_batchnorm(self.encoder)
        trunks.freeze(self.network, [*self.low_parts, *self.trunk_parts])
        return self

    @torch.no_grad()
    def trunk(self, x: Tensor) -> TrunkFeatures:
        """What the trunk makes of images in [0, 1], ``(B, 3, H, W)``; without gradient."""
        low = trunks.run_frozen(self.network, self.low_parts, (x - self.input_mean) / self.input_std)
        return TrunkFeatures(low, trunks.run_frozen(self.network, self.trunk_parts, low))

    def features(self, x: Tensor | TrunkFeatures) -> list[Any]:
        """The backbone's features at strides 1 (the image itself), 2, 4, 8, 16 and 16.

        With a trunk, those at stride 4 and the last alone; ``None`` stands in the others' places.

        Raises:
            ValueError: height or width is not a multiple of 16.
        """
        if isinstance(x, Tensor):
            if x.shape[-2] % OUTPUT_STRIDE or x.shape[-1] % OUTPUT_STRIDE:
                raise ValueError(f"height and width must be multiples of {OUTPUT_STRIDE}, got {tuple(x.shape[-2:])}")
            if not self.tail_parts:
                return self.encoder((x - self.input_mean) / self.input_std)
            x = self.trunk(x)
        return [None, None, x.low, None, None, trunks.run(self.network, self.tail_parts, x.deep)]

    def forward(self, x: Tensor | TrunkFeatures) -> Tensor:
        """Class logits, ``(B, 3, H, W)`` to ``(B, num_classes, H, W)``."""
        return self.head(self.decoder(self.features(x)))

    def embed(self, x: Tensor | TrunkFeatures) -> Tensor:
        """Embeddings for Eq. 7, of any norm, ``(B, 3, H, W)`` to ``(B, embedding_dim, H / 4, W / 4)``."""
        return self.head_s(self.decoder_s(self.features(x)))

    def both(self, x: Tensor | TrunkFeatures) -> tuple[Tensor, Tensor]:
        """Class logits and embeddings of the same images, with one pass through the backbone."""
        features = self.features(x)
        return self.head(self.decoder(features)), self.head_s(self.decoder_s(features))


def build_segmenter(
    name: str, num_classes: int, start: str = "random", *, seed: int | None = None, **settings: Any
) -> Segmenter:
    """A segmenter on a backbone by name, with the backbone's start weights, in training mode, on the CPU.

    Args:
        name: as for `build_backbone`: ``resnet101`` in the paper; ``tf_efficientnet_lite0`` in the profile lite.
            ResNets and timm's networks of five levels do.
        num_classes: number of classes; 4 in AI4Mars.
        start: as for `build_backbone`; ``random`` in the paper. The decoders are random in any case.
        seed: of the random weights; the global random state is then left as it was. Without it, that state is used.
        **settings: of `Segmenter`.

    Raises:
        RecipeError: the name or the start weights are unknown, do not go together, or cannot be a DeepLabv3+ backbone.
        DataError: start weights cannot be had, or do not fit.
    """
    with _random_state(seed):
        # Also with random weights: it knows the names, and says what is close to a wrong one.
        backbone = build_backbone(name, start, may_lack=trunks.HEADS)  # as an encoder does
        bare = name.removeprefix("timm:")
        ours = bare == name and bare.startswith("resnet") and bare in smp.encoders.get_encoder_names()
        try:
            encoder = smp.encoders.get_encoder(
                bare if ours else f"tu-{bare}", weights=None, output_stride=OUTPUT_STRIDE
            )
        except (ValueError, KeyError, RuntimeError, AttributeError, AssertionError, TypeError) as error:
            why = str(error) or "it has no dilation"
            raise RecipeError(
                f"{name!r} cannot be the backbone of DeepLabv3+ ({why}): choose a resnet or tf_efficientnet_lite0"
            ) from error
        if start != "random":
            _load_encoder(encoder, backbone.network, start)
        return Segmenter(encoder, num_classes, mean=backbone.mean, std=backbone.std, **settings)


class _PoolNorm(nn.BatchNorm2d):
    """Batch normalisation after global pooling, which has one value per channel and image: none to spread in one image.

    torch raises on such a batch of one. Here it is normalised by the running statistics, which it leaves as they are.
    """

    def forward(self, input: Tensor) -> Tensor:
        # departure: the paper does not meet a batch of one, whose batches are 16; an epoch's last batch may be one.
        if self.training and input.numel() == self.num_features:
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        return super().forward(input)


def _decoder(encoder: Any, channels: int, dropout: float) -> nn.Module:
    """A DeepLabv3+ decoder, from the backbone's features to ``(B, channels, H / 4, W / 4)``."""
    decoder = DeepLabV3PlusDecoder(
        encoder_channels=encoder.out_channels,
        encoder_depth=5,
        out_channels=channels,
        # departure: the paper does not say; rates of the DeepLabv3+ paper are 6, 12, 18 at stride 16.
        atrous_rates=(6, 12, 18),
        output_stride=OUTPUT_STRIDE,
        aspp_separable=True,
        aspp_dropout=dropout,
    )
    initialization.initialize_decoder(decoder)
    for part in decoder.modules():
        if isinstance(part, ASPPPooling):
            for key, layer in part.named_children():
                if isinstance(layer, nn.BatchNorm2d):
                    part.set_submodule(key, _PoolNorm(layer.num_features))
    return decoder


def _head(channels: int, out: int, upsampling: int) -> nn.Module:
    head = SegmentationHead(channels, out, kernel_size=1, upsampling=upsampling)
    initialization.initialize_head(head)
    return head


def _load_encoder(encoder: nn.Module, network: nn.Module, source: str) -> None:
    """Load all of the encoder from a network of the same architecture, whose last layers the encoder does not have."""
    prefix = "model." if hasattr(encoder, "model") else ""
    own = encoder.state_dict()
    state = {prefix + name: tensor for name, tensor in network.state_dict().items() if prefix + name in own}
    if not state:
        raise DataError(f"the weights of {source} share no layer with the encoder: start this backbone from random")
    load_state(encoder, state, source)
