"""Supervised contrastive learning, then training of the whole network."""

from typing import ClassVar

from marsnb.methods.classification import METHODS
from marsnb.methods.classification.supcon_linear import SupConLinear


@METHODS.register("supcon_all")
class SupConAll(SupConLinear):
    """SupCon on two views of each image, then cross entropy of the whole network.

    As `SupConLinear`, whose head alone learns in the second stage, as the reference's does; here the backbone goes on
    learning, at its own rate.

    Reference: Khosla et al., Supervised contrastive learning, arXiv 2004.11362, Eq. 2 (L_out).
    """

    whole: ClassVar[bool] = True
