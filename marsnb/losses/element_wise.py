"""Element-wise inter-class contrast against the class prototypes of a memory bank: Eq. 7."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from marsnb.losses import LOSSES, Loss, checked_temperature
from marsnb.losses._elements import ELEMENT_TEMPERATURE, IGNORE_INDEX, checked_elements, expectation, unit


class ElementCosine(torch.autograd.Function):
    """Features ``(B, D, H, W)`` and unit vectors ``(C, D)`` to cosines ``(B, C, H, W)``; gradient to the features only.

    Normalising the features with torch's own functions keeps a normalised copy and, backward, three tensors of the
    features' size. Here the backward pass builds the gradient in place from the features themselves, the cosines and
    the norms: with ``u = f / |f|`` and ``k = V u``, d(k) / d(f) gives ``(V^T g - (g . k) u) / |f|``.

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


def element_wise(
    features: Tensor,
    labels: Tensor,
    prototypes: Tensor,
    valid: Tensor | None = None,
    temperature: float = ELEMENT_TEMPERATURE,
    *,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Cross entropy of picking an element's own class among the class prototypes, by cosine.

    The anchor is the element f_i; the candidates are the C prototypes, one per class, its own included. So every
    element has one positive and C - 1 negatives, from other images as much as from its own. The gradient reaches the
    features only. Memory stays below three times the features, forward and backward, themselves and their gradient
    included: no normalised copy is kept (see `ElementCosine`).

    Args:
        features: maps ``(B, D, H, W)`` of any norm (the cosine is taken inside); D 128, at stride 4 in the paper.
        labels: class of each element, ``(B, H, W)``, of any integer type; see `labels_at`.
        prototypes: average of each class's queue, ``(C, D)``, of any norm; see `MemoryBank`.
        valid: which classes have a prototype, ``(C,)``; all of them by default. A class without one is no candidate,
            and its elements do not count: there is nothing yet to draw them to.
        temperature: the paper's tau, above 0; 0.07 in the paper.
        ignore_index: label of the elements that do not count; 255 in AI4Mars.

    Returns:
        The mean over images of the mean over an image's elements, a scalar in float32 (float64 for float64 input), also
        under autocast; 0 if no element counts.

    Raises:
        ValueError: shapes or types do not fit, or ``temperature`` is not above 0.
        IndexError: on the CPU, a label is neither a class nor ``ignore_index`` (an accelerator asserts).

    Reference: Wang et al., arXiv 2206.02180, Eq. 7.
    """
    temperature = checked_temperature(temperature)
    labels = checked_elements(features, labels)
    classes = prototypes.shape[0]
    if prototypes.ndim != 2 or prototypes.shape[1] != features.shape[1]:
        raise ValueError(f"expected prototypes of shape (C, {features.shape[1]}), got {tuple(prototypes.shape)}")
    if valid is None:
        valid = torch.ones(classes, dtype=torch.bool, device=features.device)
    if valid.shape != (classes,):
        raise ValueError(f"expected one flag per class in valid, ({classes},), got {tuple(valid.shape)}")
    with torch.autocast(device_type=features.device.type, enabled=False):
        # departure: the paper does not say whether the prototypes are detached; they are averages over past steps,
        # whose graphs are gone, so they are constants here.
        vectors = unit(prototypes.detach().to(torch.promote_types(prototypes.dtype, features.dtype)), dim=1)  # (C, D)
        vectors = vectors.masked_fill(~valid[:, None], 0.0)
        logits = ElementCosine.apply(features, vectors) / temperature  # (B, C, H, W)
        # departure: the paper is silent on empty queues. The lowest number, not -inf: none valid gives no NaN either.
        logits = logits.masked_fill(~valid.view(-1, 1, 1), torch.finfo(logits.dtype).min)
        ignored = labels == ignore_index  # (B, H, W)
        counted = valid[labels.masked_fill(ignored, 0)] & ~ignored  # (B, H, W)
        losses = F.cross_entropy(
            logits, labels.masked_fill(~counted, ignore_index), ignore_index=ignore_index, reduction="none"
        )  # (B, H, W), 0 where not counted
        return expectation(losses, counted)


@LOSSES.register("element_wise")
class ElementWise(Loss):
    """Module form of `element_wise`."""

    function = staticmethod(element_wise)
