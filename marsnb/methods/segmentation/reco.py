"""ReCo: an EMA teacher's pseudo labels, and contrast between hard pixels and the classes they are confused with."""

from typing import Any

import torch
from torch import Tensor

from marsnb.errors import RecipeError
from marsnb.losses._elements import IGNORE_INDEX, grid_of, labels_at, pick_nearest
from marsnb.losses.regional_contrast import draw_regions, regional_contrast
from marsnb.methods.segmentation import METHODS
from marsnb.methods.segmentation._consistency import TeacherMethod
from marsnb.methods.segmentation._mixing import MIXINGS
from marsnb.methods.segmentation._parts import MaskBatch, PolySchedule
from marsnb.models.batchnorm import untracked_batchnorm
from marsnb.models.segmenter import Segmenter


@METHODS.register("reco")
class ReCo(TeacherMethod):
    """Cross entropy, pseudo labels of an EMA teacher, and regional contrast on both batches.

    Open choices besides those of ``TeacherMethod``: the representation comes from the contrastive head that all methods
    share (128 channels and a decoder of its own; reference: 256 and the decoder of the segmentation head); one set of
    keys serves all queries of a class, as ReCo's Eq. 1 writes it (its code draws one per query); keys and means are
    constants, as in its code; a query is hard by the student's probability of its label or pseudo label.

    Args:
        mixing: of the images that the teacher labels: none, cutout, cutmix or classmix.
        weight_reco: of the contrast (reference: 1).
        threshold: confidence of a sure pixel, and the one below which a query is hard (reference: 0.97).
        weak: least confidence of a pseudo label that the contrast uses (reference: 0.7).
        temperature: divides the cosines (reference: 0.5).
        queries, keys: drawn per class (reference: 256, 512).

    Reference: Liu et al., Bootstrapping semantic segmentation with regional contrast, arXiv 2104.04465.
    """

    mixing: str = "none"
    weight_reco: float = 1.0
    weak: float = 0.7
    temperature: float = 0.5
    queries: int = 256
    keys: int = 512

    def __init__(self, model: Segmenter, schedule: PolySchedule, **settings: Any) -> None:
        super().__init__(model, schedule, **settings)
        if self.mixing not in MIXINGS:
            raise RecipeError(f"method setting 'mixing' is {self.mixing!r}; known: {', '.join(MIXINGS)}")
        self.pixels = () if self.mixing == "none" else ("unlabelled",)

    def contrast_of(self, embeddings: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """The contrast over all pixels with a label.

        Shape: ``embeddings``: ``(B, D, h, w)``; ``logits``: ``(B, C, H, W)``; ``labels``: ``(B, H, W)``.
        """
        grid = grid_of(embeddings)
        labels, probabilities = labels_at(labels, grid), pick_nearest(logits.detach(), grid).float().softmax(dim=1)
        valid = labels != IGNORE_INDEX  # (B, h, w)
        vectors, labels = embeddings.movedim(1, 3)[valid], labels[valid]  # (N, D), (N,)
        confidence = probabilities.movedim(1, 3)[valid].gather(1, labels[:, None])[:, 0]  # (N,)
        regions = draw_regions(
            vectors, labels, confidence, self.model.num_classes,
            queries=self.queries, keys=self.keys, temperature=self.temperature, hard=self.threshold,
        )  # fmt: skip
        return regional_contrast(vectors, labels, regions, self.temperature)

    def step(self, labelled: MaskBatch, unlabelled: MaskBatch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ce + weight * L_pseudo + weight_reco * L_reco."""
        self.teacher.update(self.model)
        pseudo = self.pseudo_batch(unlabelled)
        logits, embeddings = self.model.both(labelled.images)
        with untracked_batchnorm(self.model):
            pseudo_logits, pseudo_embeddings = self.model.both(pseudo.images)
        ce = self.cross_entropy(logits, labelled.labels)
        consistency, sure = pseudo.cross_entropy(pseudo_logits, self.threshold)
        likely = torch.where(pseudo.confidence >= self.weak, pseudo.labels, IGNORE_INDEX)
        contrast = self.contrast_of(
            torch.cat([embeddings, pseudo_embeddings]),
            torch.cat([logits, pseudo_logits]),
            torch.cat([labelled.labels, likely]),
        )
        loss = ce + self.weight * consistency + self.weight_reco * contrast
        return {"loss": loss, "ce": ce, "pseudo": consistency, "reco": contrast, "sure": sure}
