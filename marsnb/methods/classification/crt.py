"""Decoupled training: classifier re-training."""

from typing import Any

from torch import nn

from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Schedule
from marsnb.methods.classification._stages import TwoStageMethod, train_only
from marsnb.models.classifier import Classifier


@METHODS.register("crt")
class ClassifierRetraining(TwoStageMethod):
    """Cross entropy in two stages: the whole network, then a new head on the frozen backbone with balanced batches.

    Open choices: the second stage is as long as the first, so that the new head gets as many steps at the same rates as
    the old one had (reference: 10 epochs after 90 or 200, at the rate of the first stage; see `TwoStageMethod`); it has
    the run's own rates and Adam, not SGD at 0.2 with a cosine; a balanced batch draws the class of each image by
    itself, where the reference takes 4 images of each class drawn; the new head starts with Adam's moments of the old
    one, since the optimizer is built once. The frozen backbone is in evaluation mode: its batch statistics are kept.

    Reference: Kang et al., Decoupling representation and classifier, arXiv 1910.09217, section 4.
    """

    def __init__(self, model: Classifier, schedule: Schedule, **settings: Any) -> None:
        super().__init__(model, schedule, **settings)
        # Drawn here, so that it does not depend on where a run was resumed. As a module it would be among parameters.
        self.new_head = nn.Linear(model.head.in_features, model.head.out_features).state_dict()

    def enter(self, stage: int, first: bool) -> None:
        """Freeze the backbone in the second stage, and begin it with a new head."""
        model = self.model
        if stage == 0:
            train_only(model, model.backbone, model.head)
            return
        train_only(model, model.head)
        if first:
            model.head.load_state_dict(self.new_head)
