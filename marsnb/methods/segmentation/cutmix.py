"""CutMix for segmentation: the student sees a box of another image in an image, the teacher both as they are."""

from marsnb.methods.segmentation import METHODS
from marsnb.methods.segmentation._consistency import TeacherMethod


@METHODS.register("cutmix")
class CutMix(TeacherMethod):
    """A box of half the image comes from another image, pseudo labels and confidences with it.

    Reference: French et al., Semi-supervised semantic segmentation needs strong, varied perturbations, arXiv
    1906.01916; Yun et al., CutMix, arXiv 1905.04899. Open choices: ``TeacherMethod``.
    """

    mixing = "cutmix"
