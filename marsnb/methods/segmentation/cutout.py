"""CutOut: the student has to see through a hole what the teacher sees without."""

from marsnb.methods.segmentation import METHODS
from marsnb.methods.segmentation._consistency import TeacherMethod


@METHODS.register("cutout")
class CutOut(TeacherMethod):
    """A box of half the image is blank for the student, and what is in it does not count.

    Open choices besides those of ``TeacherMethod``: CutOut was made for labelled images, with a square of fixed size;
    as an augmentation of a student it is ReCo's and CutMix for segmentation's.

    Reference: DeVries and Taylor, Improved regularization with Cutout, arXiv 1708.04552; French et al., 1906.01916.
    """

    mixing = "cutout"
