"""MoCo v2: tell an image's second view from the views of other images, which a queue remembers."""

import copy
import math
from typing import Any

import pytorch_lightning as pl
import torch
from lightly.loss import NTXentLoss
from lightly.models.modules import MoCoProjectionHead
from lightly.models.utils import deactivate_requires_grad, update_momentum
from torch import Tensor, nn

from marsnb.errors import TrainingError
from marsnb.models.backbones import Backbone

SGD_MOMENTUM = 0.9
WEIGHT_DECAY = 1e-4


class MoCo(pl.LightningModule):
    """A query encoder that learns, and a key encoder that follows it slowly.

    Each is a backbone and a projection of two layers, as wide inside as the features; ``losses`` has one of every step.

    Args:
        backbone: what is pretrained, in place.
        steps: length of the run; the rate falls to 0 along half a cosine.
        lr: first rate of SGD (MoCo v2: 0.03 for 256 images a step).
        momentum: what the key encoder keeps of itself at each step (MoCo v2: 0.999).
        temperature: divides the cosines (MoCo v2: 0.2).
        queue: keys of earlier batches that serve as negatives (MoCo v2: 65,536); a multiple of the batch.
        embedding_dim: width of queries and keys (MoCo v2: 128).

    Reference: Chen et al., arXiv 2003.04297; He et al., arXiv 1911.05722, Algorithm 1.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        steps: int,
        lr: float,
        momentum: float,
        temperature: float,
        queue: int,
        embedding_dim: int = 128,
    ) -> None:
        super().__init__()
        width = backbone.num_features
        self.query = nn.Sequential(backbone, MoCoProjectionHead(width, width, embedding_dim))
        self.key = copy.deepcopy(self.query)
        deactivate_requires_grad(self.key)
        self.loss = NTXentLoss(temperature=temperature, memory_bank_size=(queue, embedding_dim))
        self.steps, self.lr, self.momentum = steps, lr, momentum
        self.losses: list[float] = []

    @property
    def backbone(self) -> Backbone:
        """The query encoder's backbone: what is kept afterwards."""
        backbone = self.query[0]
        assert isinstance(backbone, Backbone)
        return backbone

    def step(self, view1: Tensor, view2: Tensor) -> Tensor:
        """Move the key encoder, compare the queries with keys and queue, then put the keys into the queue.

        Shape: two times ``(B, 3, H, W)`` in [0, 1] to a scalar; row i of both views is the same image.
        """
        update_momentum(self.query, self.key, self.momentum)
        queries = self.query(view1)  # (B, 3, H, W) -> (B, D)
        # departure: no shuffling BN. On one device all keys share their batch statistics in whatever order they come,
        # so a shuffle would change nothing; what these statistics give away about the batch stays.
        with torch.no_grad():
            keys = self.key(view2)  # (B, 3, H, W) -> (B, D)
        return self.loss(queries, keys)  # B positives, each against the whole queue -> scalar

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Lightning's hook: one step, guarded against a loss that is not finite."""
        loss = self.step(*batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"MoCo's loss became {value} at step {self.global_step}; "
                f"lower its learning rate, or train in 32-bit precision"
            )
        self.losses.append(value)
        return loss

    def configure_optimizers(self) -> Any:
        """SGD on the query encoder, its rate along half a cosine."""
        optimizer = torch.optim.SGD(
            self.query.parameters(), lr=self.lr, momentum=SGD_MOMENTUM, weight_decay=WEIGHT_DECAY
        )
        # departure: MoCo v2 sets the rate once an epoch; here each step does, as a run may be shorter than an epoch.
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}
