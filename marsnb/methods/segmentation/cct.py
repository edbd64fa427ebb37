"""CCT: auxiliary decoders have to see in perturbed features what the main decoder sees in the features as they are."""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from marsnb.losses._elements import IGNORE_INDEX, grid_of, labels_at, pick_nearest
from marsnb.methods.segmentation import METHODS
from marsnb.methods.segmentation._consistency import ramp_up, squared_difference
from marsnb.methods.segmentation._parts import MaskBatch, PolySchedule, SegmentationMethod
from marsnb.methods.segmentation._perturbations import PERTURBATIONS, Scene
from marsnb.models.segmenter import FEATURE_STRIDE, OUTPUT_STRIDE, Segmenter

MOST = max(number for _, number in PERTURBATIONS.values())


def auxiliary_decoder(width: int, num_classes: int) -> nn.Sequential:
    """A linear classifier of each element, then steps of sub-pixel convolution that double the resolution.

    Each step is a 1x1 convolution to four times the channels, a ReLU and a shuffle of channels into space, as in the
    reference's code, so the logits are not negative. A step's weights begin equal for the four pixels that come of an
    element (ICNR), so that at first it repeats elements.

    Shape: ``(B, width, H / 16, W / 16)`` to logits ``(B, num_classes, H / 4, W / 4)``.
    """
    first = nn.Conv2d(width, num_classes, kernel_size=1, bias=False)
    nn.init.kaiming_normal_(first.weight, nonlinearity="relu")
    layers: list[nn.Module] = [first]
    for _ in range(int(math.log2(OUTPUT_STRIDE // FEATURE_STRIDE))):
        widen = nn.Conv2d(num_classes, 4 * num_classes, kernel_size=1)
        with torch.no_grad():
            one = nn.init.kaiming_normal_(torch.empty(num_classes, num_classes, 1, 1))
            widen.weight.copy_(one.repeat_interleave(4, dim=0))  # shuffling takes four channels in a row for one
        layers += [widen, nn.ReLU(), nn.PixelShuffle(2)]
    return nn.Sequential(*layers)


@METHODS.register("cct")
class CCT(SegmentationMethod):
    """Cross entropy on labelled pixels, and agreement of auxiliary decoders with the main one on unlabelled pixels.

    The encoder ends with DeepLabv3+'s pyramid, as the reference's ends with PSPNet's. Each auxiliary decoder has one of
    seven perturbations of its output. The main prediction is their constant target, so the unlabelled pixels train the
    encoder and the auxiliary decoders, and the main decoder learns from labels alone.

    Open choices: the unlabelled data are the unlabelled pixels of the batch, so there is one pass through the encoder;
    predictions are compared at a quarter of the image's resolution, so auxiliary decoders double theirs twice
    (reference: three times); an "object" is all of an image but its most frequent predicted class, as there is no
    background on Mars; random numbers are drawn per image.

    Args:
        weight: of the agreement once it is warm (reference: 30).
        warmup: share of training over which it rises from about 0 (reference: 0.1).
        decoders: of each of the four cheap perturbations (reference: 6); of the two masks and the adversarial one there
            are a third as many.

    Reference: Ouali et al., Semi-supervised semantic segmentation with cross-consistency training, arXiv 2003.09005.
    """

    weight: float = 30.0
    warmup: float = 0.1
    decoders: int = MOST

    def __init__(self, model: Segmenter, schedule: PolySchedule, **settings: Any) -> None:
        super().__init__(model, schedule, **settings)
        width = next(model.head.parameters()).shape[1]  # of (C, width, 1, 1)
        self.auxiliary = nn.ModuleDict(
            {
                name: nn.ModuleList(
                    auxiliary_decoder(width, model.num_classes) for _ in range(max(1, self.decoders * number // MOST))
                )
                for name, (_, number) in PERTURBATIONS.items()
            }
        )

    def split(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The encoder's output, and the main path's logits before and after they are scaled up.

        Shape: ``(B, width, H / 16, W / 16)``, ``(B, C, H / 4, W / 4)`` and ``(B, C, H, W)``, those of ``self.model``.
        """
        decoder, head = cast(Any, self.model.decoder), cast(nn.Sequential, self.model.head)
        features = self.model.features(images)
        z = decoder.aspp(features[-1])
        fused = decoder.block2(torch.cat([decoder.up(z), decoder.block1(features[2])], dim=1))
        small = head[0](fused)
        return z, small, head[2](head[1](small))

    def agreement(self, z: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean over auxiliary decoders of their squared difference to the main prediction, on unlabelled pixels.

        Shape: ``z``: ``(B, D, h, w)``; ``logits``: ``(B, C, H / 4, W / 4)``; ``labels``: ``(B, H, W)``; the result is a
        scalar.
        """
        logits = logits.detach().float()
        scene = Scene(pick_nearest(logits, grid_of(z)).argmax(dim=1), self.model.num_classes)
        target, unlabelled = logits.softmax(dim=1), labels_at(labels, grid_of(logits)) == IGNORE_INDEX
        differences = [
            squared_difference(decoder(PERTURBATIONS[name][0](z, scene, decoder)), target, unlabelled)
            for name, decoders in self.auxiliary.items()
            for decoder in cast(nn.ModuleList, decoders)
        ]
        return torch.stack(differences).mean()

    def step(self, labelled: MaskBatch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ce + ramp * weight * L_agreement."""
        z, small, logits = self.split(labelled.images)
        ce = self.cross_entropy(logits, labelled.labels)
        agreement = self.agreement(z, small, labelled.labels)
        loss = ce + ramp_up(self.done, self.warmup) * self.weight * agreement
        return {"loss": loss, "ce": ce, "agreement": agreement}
