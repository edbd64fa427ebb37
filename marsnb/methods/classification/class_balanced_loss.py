"""Cross entropy with class-balanced weights."""

from torch import Tensor

from marsnb.losses.class_balanced import ClassBalanced
from marsnb.methods.classification import METHODS
from marsnb.methods.classification._parts import Batch, ClassificationMethod, Task


@METHODS.register("class_balanced_loss")
class ClassBalancedLoss(ClassificationMethod):
    """Cross entropy in which an image counts the more the fewer images its class has (effective number).

    Open choices: the reference has a softmax, a sigmoid and a focal form, and Wang et al. do not say which they took;
    this is the softmax form. Weights add up to the number of classes that have images.

    Args:
        beta: 0 to below 1, of the effective number (reference: 0.9999 among 0.9, 0.99, 0.999).

    Reference: Cui et al., arXiv 1901.05555.
    """

    beta: float = 0.9999

    def prepare(self, task: Task) -> None:
        """Make the weights from the class counts."""
        super().prepare(task)
        self.balanced = ClassBalanced(task.class_counts, self.beta)

    def step(self, labelled: Batch) -> dict[str, Tensor]:  # type: ignore[override]
        """L = weighted L_ce."""
        loss = self.balanced(self.model(labelled.images), labelled.labels)
        return {"loss": loss, "weighted_ce": loss}
