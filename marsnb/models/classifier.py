"""The paper's classifier: one backbone, three heads (Fig. 6)."""

from typing import Literal, Self, get_args

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from marsnb.errors import RecipeError
from marsnb.models.backbones import Backbone

BatchNormMode = Literal["train", "frozen", "labelled"]


class Classifier(nn.Module):
    """A backbone shared by a linear classification head and two projection heads.

    Args:
        backbone: images to pooled features.
        num_classes: number of classes; 24 for MSL.
        embedding_dim: width of both embeddings; 128 in the paper.
        dropout: share of features zeroed before the classification head while training; 0 in the paper's own method.
        batchnorm: ``"train"``; ``"labelled"``: as that, but methods keep the statistics of other images than labelled
            ones out of the running ones; or ``"frozen"``: the backbone's batch normalisation keeps its statistics,
            scale and shift, also after ``.train()``.

    Attributes:
        backbone: B_cls of the paper.
        head: H_cls, one linear layer.
        project_s: H_cls^s, the two-layer MLP of Eq. 2.
        project_u: H_cls^u, the two-layer MLP of Eq. 3.

    Shape:
        ``forward(x)``: ``(B, 3, H, W)`` in [0, 1] to logits ``(B, num_classes)``. Here and in the other maps, what the
        backbone's trunk made of the images may stand in their place.

    Raises:
        RecipeError: ``batchnorm`` is none of the three.

    Reference: Wang et al., arXiv 2206.02180, section 4.4 and Fig. 6.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        embedding_dim: int = 128,
        dropout: float = 0.0,
        batchnorm: BatchNormMode = "train",
    ) -> None:
        super().__init__()
        if batchnorm not in get_args(BatchNormMode):
            raise RecipeError(f"unknown batchnorm {batchnorm!r}; known: {', '.join(get_args(BatchNormMode))}")
        width = backbone.num_features
        # departure: the paper does not give the hidden width; as wide as the features, as in MoCo v2.
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, num_classes)
        self.project_s = _projection(width, embedding_dim)
        self.project_u = _projection(width, embedding_dim)
        self.batchnorm = batchnorm
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As ``nn.Module.train``, but frozen batch normalisation stays in evaluation mode."""
        super().train(mode)
        if self.batchnorm == "frozen":
            freeze_batchnorm(self.backbone)
        return self

    def features(self, x: Tensor) -> Tensor:
        """Pooled features, ``(B, 3, H, W)`` to ``(B, num_features)``."""
        return self.backbone(x)

    def forward(self, x: Tensor) -> Tensor:
        """Class logits, ``(B, 3, H, W)`` to ``(B, num_classes)``."""
        return self.head(self.dropout(self.features(x)))

    def embed_s(self, x: Tensor) -> Tensor:
        """Embeddings for Eq. 2, of any norm, ``(B, 3, H, W)`` to ``(B, embedding_dim)``."""
        return self.project_s(self.features(x))

    def embed_u(self, x: Tensor) -> Tensor:
        """Embeddings for Eq. 3, of any norm, ``(B, 3, H, W)`` to ``(B, embedding_dim)``."""
        return self.project_u(self.features(x))


def freeze_batchnorm(module: nn.Module) -> nn.Module:
    """Put all batch normalisation in ``module`` into evaluation mode and stop training its scale and shift.

    A later ``module.train()`` would undo the first half: a module that is to stay frozen calls this at the end of its
    own ``train``, as `Classifier` does. Other normalisation (layer, group) is left alone. Returns the same module.
    """
    for part in module.modules():
        if isinstance(part, _BatchNorm):  # also synchronised ones and timm's, which fuse an activation
            part.eval()
            part.requires_grad_(False)
    return module


def _projection(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, out))
