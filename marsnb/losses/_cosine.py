"""Cosines of every element of feature maps to a few vectors, without a copy of the features."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


class ElementCosine(torch.autograd.Function):
    """Features ``(B, D, H, W)`` and unit vectors ``(C, D)`` to cosines ``(B, C, H, W)``; gradient to the features only.

    Normalising the features with torch's own functions keeps a normalised copy and, backward, three tensors of the
    features' size. Here the backward pass builds the gradient in place from the features themselves, the cosines and
    the norms: with u = f / |f| and k = V u, d(k) / d(f) gives  (V^T g - (g . k) u) / |f|.

    Images are taken one by one, so that the features of half precision are cast to float32 one image at a time. A
    feature of zeros has cosine 0 to everything, and gradient 0.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, features: Tensor, vectors: Tensor) -> Tensor:
        """Cosines, in the type of ``vectors``."""
        b, _, h, w = features.shape
        cosines = vectors.new_empty((b, len(vectors), h * w))
        inverse = vectors.new_empty((b, 1, h * w))  # 1 / |f|
        for i, image in enumerate(features):
            f = image.flatten(1).to(vectors.dtype)  # (D, HW)
            norm = torch.linalg.vector_norm(f, dim=0, keepdim=True)  # (1, HW)
            inverse[i] = torch.where(norm > 0, 1 / norm, 0)
            torch.mm(vectors, f, out=cosines[i])  # (C, D) @ (D, HW)
        cosines *= inverse
        ctx.save_for_backward(features, vectors, cosines, inverse)
        return cosines.view(b, -1, h, w)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Gradient of the features, in their own type and memory format."""
        features, vectors, cosines, inverse = ctx.saved_tensors
        g = gradients[0].flatten(2) * inverse  # (B, C, HW), g / |f|
        along = (g * cosines).sum(dim=1, keepdim=True) * inverse  # (B, 1, HW), (g . k) / |f|^2
        result = torch.empty_like(features)
        for i, image in enumerate(features):
            f = image.flatten(1).to(vectors.dtype)  # (D, HW)
            gradient = torch.mm(vectors.T, g[i]).addcmul_(f, along[i], value=-1)  # (D, HW)
            result[i] = gradient.view_as(image)
        return result, None
