"""The paper's full model for segmentation, in three steps; Table 9's ablations are its switches."""

from typing import Any, ClassVar

from torch import Tensor

from marsnb.distributed import share_of
from marsnb.losses._elements import IGNORE_INDEX, grid_of, labels_at
from marsnb.losses.element_wise import element_wise
from marsnb.methods.segmentation import METHODS
from marsnb.methods.segmentation._parts import MaskBatch, PolySchedule, SegmentationMethod
from marsnb.models.memory_bank import MemoryBank
from marsnb.models.pseudo_labels import merge_pseudo_labels
from marsnb.models.segmenter import Segmenter


@METHODS.register("semi_supervised")
class SemiSupervised(SegmentationMethod):
    """Contrastive pretraining, then cross entropy with contrast, then the same with online pseudo labels.

    Pseudo labels feed the contrast and the memory bank only; cross entropy keeps the labels as they are. They are
    predicted at every step from the logits that cross entropy has too: by the network as it trains, dropout and batch
    statistics included, on the batch as it is augmented. At lite that fills some 42 % of the unlabelled pixels where
    the network in evaluation mode would fill 46 %.

    Args:
        weight_s: lambda_seg^s, of the contrast beside cross entropy (paper: 0.001). Alone, it has weight 1.
        temperature: tau of Eq. 7 (paper: 0.07).
        threshold: confidence that a pseudo label must exceed (paper: 0.9).
        queue: entries of the memory bank per class (paper: 32).
        pretrain: whether there is a first step, of contrast alone.
        contrast: whether the other steps have the contrast.
        pseudo_labels: whether the last step has pseudo labels; without, it repeats the one before.

    Reference: paper, Eq. 7, Eq. 9, sections 5.2 and 5.3.
    """

    divisible: ClassVar[bool] = True
    weight_s: float = 0.001
    temperature: float = 0.07
    threshold: float = 0.9
    queue: int = 32
    pretrain: bool = True
    contrast: bool = True
    pseudo_labels: bool = True

    def __init__(self, model: Segmenter, schedule: PolySchedule, **settings: Any) -> None:
        super().__init__(model, schedule, **settings)
        self.bank = MemoryBank(model.num_classes, model.embedding_dim, self.queue)

    @property
    def steps(self) -> tuple[str, ...]:
        """Names of the steps."""
        last = "pseudo" if self.contrast and self.pseudo_labels else "joint"
        return ("pretrain", "joint", last) if self.pretrain else ("joint", last)

    def decided_by(self, stage: int) -> dict[str, Any] | None:
        """Weight and switch of the contrast from the second step on; the threshold matters in the last alone."""
        if stage == len(self.steps) - 1:
            return None
        settings = {"steps": self.steps[: stage + 1], "temperature": self.temperature, "queue": self.queue}
        if self.steps[stage] != "pretrain":
            settings |= {"weight_s": self.weight_s, "contrast": self.contrast}
        return settings

    def contrast_of(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Eq. 7 against the bank as the steps before left it, which then takes these embeddings, ``(B, D, h, w)``."""
        loss = element_wise(embeddings, labels, self.bank.prototypes, self.bank.valid, self.temperature)
        self.bank.enqueue(embeddings, labels)
        return loss

    def step(self, labelled: MaskBatch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_s first, then L = L_ce + lambda_s * L_s."""
        if self.step_name == "pretrain":
            embeddings = self.model.embed(labelled.images)  # (B, D, H / 4, W / 4)
            contrast = self.contrast_of(embeddings, labels_at(labelled.labels, grid_of(embeddings)))
            return {"loss": contrast, "element_wise": contrast}
        if not self.contrast:
            ce = self.cross_entropy(self.model(labelled.images), labelled.labels)
            return {"loss": ce, "ce": ce}
        logits, embeddings = self.model.both(labelled.images)
        grid = grid_of(embeddings)
        labels = known = labels_at(labelled.labels, grid)
        if self.step_name == "pseudo":
            labels = merge_pseudo_labels(logits, labelled.labels, self.threshold, size=grid)
        ce = self.cross_entropy(logits, labelled.labels)
        contrast = self.contrast_of(embeddings, labels)
        losses = {"loss": ce + self.weight_s * contrast, "ce": ce, "element_wise": contrast}
        if self.step_name == "pseudo":
            losses["pseudo_share"] = filled_share(known, labels)
        return losses


def filled_share(known: Tensor, merged: Tensor) -> Tensor:
    """Share of the unlabelled elements, ``(B, h, w)``, that pseudo labels filled; 0 where every element is labelled."""
    unlabelled = known == IGNORE_INDEX
    return (unlabelled & (merged != IGNORE_INDEX)).sum() / share_of(unlabelled.sum())
