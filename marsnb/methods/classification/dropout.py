"""Cross entropy with dropout before the classification head."""

from typing import Any, ClassVar

from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Schedule
from marsnb.methods.classification.cross_entropy import CrossEntropy
from marsnb.models.classifier import Classifier


@METHODS.register("dropout")
class Dropout(CrossEntropy):
    """Cross entropy with part of the features dropped before the classification head.

    Open choices: Wang et al. say neither where nor how much is dropped; here the pooled features, the only input of a
    fully connected layer in this network, at the reference's rate for hidden units. None of the backbone's maps is
    dropped, and nothing is dropped when scored.

    Args:
        rate: share of the features that is set to 0; the rest is scaled up (reference: 0.5).

    Reference: Srivastava et al., Dropout, JMLR 15 (2014).
    """

    divisible: ClassVar[bool] = False  # several processes would draw other masks than one

    rate: float = 0.5

    def __init__(self, model: Classifier, schedule: Schedule, **settings: Any) -> None:
        super().__init__(model, schedule, **settings)
        model.dropout.p = self.rate
