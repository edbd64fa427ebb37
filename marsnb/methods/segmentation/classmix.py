"""ClassMix: the student sees half of an image's classes pasted on another image."""

from marsnb.methods.segmentation import METHODS
from marsnb.methods.segmentation._consistency import TeacherMethod


@METHODS.register("classmix")
class ClassMix(TeacherMethod):
    """Half of the classes that the teacher sees in an image are pasted on another image, along their outlines.

    Half is rounded down, as in the reference: where the teacher sees one class, the other image stays whole.

    Reference: Olsson et al., ClassMix, arXiv 2007.07936. Open choices: ``TeacherMethod``.
    """

    mixing = "classmix"
