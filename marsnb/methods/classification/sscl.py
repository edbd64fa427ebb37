"""SsCL: a classifier and a contrastive branch that correct each other, in our own reading."""

import copy
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Batch, ClassificationMethod, PairBatch, Schedule
from marsnb.models.classifier import Classifier


def update_momentum(query: nn.Module, key: nn.Module, momentum: float) -> None:
    """Set key to momentum * key + (1 - momentum) * query, parameter by parameter; buffers are the key's own."""
    with torch.no_grad():
        for mine, theirs in zip(key.parameters(), query.parameters(), strict=True):
            mine.lerp_(theirs, 1 - momentum)


def class_aware_contrast(queries: Tensor, keys: Tensor, temperature: float, left_out: Tensor) -> Tensor:
    """InfoNCE of each query against all keys, of which key i is the positive of query i; a scalar.

    Args:
        queries: of unit norm, ``(B, D)``.
        keys: of unit norm, ``(K, D)``, K >= B.
        temperature: divides the cosines.
        left_out: ``(B, K)``, true where a key is no negative of a query; without effect on the positives.
    """
    own = torch.arange(len(queries), device=queries.device)
    left_out = left_out.clone()
    left_out[own, own] = False
    logits = (queries @ keys.T / temperature).masked_fill(left_out, float("-inf"))  # (B, K)
    return F.cross_entropy(logits, own)


def calibrated(
    chances: Tensor, queries: Tensor, keys: Tensor, theirs: Tensor, temperature: float, mix: float
) -> Tensor:
    """(1 - mix) * own class distribution + mix * that of similar keys, weighted by the softmax of the cosines.

    Shape: ``chances`` and the result, equal where K is 0: ``(B, C)``; ``queries``: ``(B, D)``; ``keys``: ``(K, D)``;
    ``theirs``: ``(K, C)``.
    """
    if not len(keys):
        return chances
    nearness = (queries @ keys.T / temperature).softmax(dim=1)  # (B, K), rows sum to 1
    return (1 - mix) * chances + mix * nearness @ theirs


@METHODS.register("sscl")
class SsCL(ClassificationMethod):
    """Cross entropy, contrast with a queue on unlabelled pairs, and pseudo-labels that the two calibrate.

    No code of SsCL is public and Wang et al. give no settings; this is our own reading. The first view of an unlabelled
    image passes the model: class distribution p and query q (projection H_u). The second passes H_u of a momentum copy
    of the model: its key. A queue holds past keys with the p of their images.

    - From contrast to classes: p is mixed with the queue's distributions, weighted by similarity to q. The image gets
      its most probable class as label if that is sure enough; otherwise it counts as 0 in the mean over the batch.
    - From classes to contrast: a key is no negative of q if both are sure of one and the same class.

    All settings are ours. The projection learns at the head's rate. Keys of the batch's other images are negatives
    besides the queue, so that the first step has some; labelled images have no keys. The queue keeps the head's p, not
    the calibrated one, so that it cannot feed on itself; the sure class of q is of the calibrated one. One view gives
    label and gradient. Both terms count from the first step. The momentum copy moves before the keys are made, at every
    training step, and never in evaluation, as the queue; its batch normalisation uses the statistics of its own batch
    (frozen if the model's is).

    Args:
        weight_pseudo: of the cross entropy on unlabelled images.
        weight_contrast: of the contrast; as the paper's lambda_u.
        temperature: divides the cosines (MoCo v2: 0.2).
        queue: past keys that are kept (MoCo v2: 65,536, of a far larger data set).
        momentum: what the copy keeps of itself at each step (MoCo v2: 0.999; less as runs are short).
        threshold: least calibrated probability, 0 to 1, of a sure image (as in FixMatch: 0.95).
        mix: share of the queue in the calibrated distribution, 0 to 1.

    Reference: Zhang et al., arXiv 2105.07387; He et al., arXiv 1911.05722.
    """

    streams: ClassVar[tuple[str, ...]] = ("labelled", "unlabelled_pairs")
    embedding: ClassVar[str] = "embed_u"
    new_projection: ClassVar[bool] = True
    keys: Tensor
    chances: Tensor
    filled: Tensor

    weight_pseudo: float = 1.0
    weight_contrast: float = 0.2
    temperature: float = 0.2
    queue: int = 256
    momentum: float = 0.99
    threshold: float = 0.95
    mix: float = 0.5

    def __init__(self, model: Classifier, schedule: Schedule, **settings: Any) -> None:
        super().__init__(model, schedule, **settings)
        self.key = copy.deepcopy(model).requires_grad_(False)
        width = model.project_u(torch.zeros(1, model.head.in_features)).shape[1]
        self.register_buffer("keys", torch.zeros(self.queue, width))  # newest first
        self.register_buffer("chances", torch.zeros(self.queue, model.head.out_features))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def enqueue(self, keys: Tensor, chances: Tensor) -> None:
        """Put ``(B, D)`` keys and ``(B, C)`` distributions before the others; the oldest fall out."""
        size = len(self.keys)
        self.keys.copy_(torch.cat([keys, self.keys])[:size])
        self.chances.copy_(torch.cat([chances, self.chances])[:size])
        self.filled.copy_((self.filled + len(keys)).clamp(max=size))

    def step(self, labelled: Batch, unlabelled_pairs: PairBatch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = L_ce + weight_pseudo * L_pseudo + weight_contrast * L_contrast."""
        model = self.model
        ce = self.cross_entropy(labelled)
        with self.aside():
            features = model.features(unlabelled_pairs.view1)  # (B, 3, H, W) -> (B, F)
        logits, raw = model.head(model.dropout(features)), model.project_u(features)  # (B, C), (B, D)
        if self.training:
            update_momentum(model, self.key, self.momentum)
        with torch.no_grad():
            raw_keys = self.key.embed_u(unlabelled_pairs.view2)  # (B, 3, H, W) -> (B, D)
        with torch.autocast(device_type=raw.device.type, enabled=False):
            logits, queries = logits.float(), F.normalize(raw.float())
            keys, p = F.normalize(raw_keys.float()), logits.detach().softmax(dim=1)
            past = int(self.filled)
            old_keys, old_p = self.keys[:past], self.chances[:past]  # (K, D), (K, C)
            sure, guess = calibrated(p, queries.detach(), old_keys, old_p, self.temperature, self.mix).max(dim=1)
            used = sure >= self.threshold  # (B,)
            pseudo = (used.float() * F.cross_entropy(logits, guess, reduction="none")).mean()
            all_sure, all_guess = torch.cat([p, old_p]).max(dim=1)  # (B + K,)
            same = (guess[:, None] == all_guess) & used[:, None] & (all_sure >= self.threshold)  # (B, B + K)
            contrast = class_aware_contrast(queries, torch.cat([keys, old_keys]), self.temperature, same)
        if self.training:
            self.enqueue(keys, p)
        loss = ce + self.weight_pseudo * pseudo + self.weight_contrast * contrast
        return {"loss": loss, "ce": ce, "pseudo": pseudo, "contrast": contrast}
