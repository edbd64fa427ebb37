"""Supervised contrastive learning, then training of the whole network."""

from typing import ClassVar

from marsnb.methods.classification import METHODS
from marsnb.methods.classification._supcon import SupConMethod


@METHODS.register("supcon_all")
class SupConAll(SupConMethod):
    """SupCon on two views of each image, then cross entropy of the whole network.

    Open choices: both stages are as long as the run's epochs, so the method trains twice as long as others (reference:
    1000 epochs, then 100); a batch is 24 labelled images drawn without regard to class, as for ``info_nce`` (reference:
    256 or more), so a rare class often has no positive but its own second view; the views get the project's strong
    augmentation and pass the network together; optimizer and rates are the run's, Adam and not SGD, the projection's
    that of the head (see ``SupConMethod``); the loss is the mean over anchors, without the reference's factor tau /
    0.07; a batch of one class only has a loss of 0. The projection (``project_s``) is dropped after the first stage.
    That stage has no images as they are scored, so running statistics of batch normalisation follow its strong views,
    whatever the model's ``batchnorm`` says of other methods. The reference trains the head alone in the second stage
    (``supcon_linear``); here the backbone goes on learning, at its own rate.

    Args:
        model: backbone and heads.
        schedule: learning rates; they begin anew with the second stage.
        temperature: of the contrast (reference: 0.1; the default of its code is 0.07).

    Reference: Khosla et al., Supervised contrastive learning, arXiv 2004.11362, Eq. 2 (L_out).
    """

    whole: ClassVar[bool] = True
