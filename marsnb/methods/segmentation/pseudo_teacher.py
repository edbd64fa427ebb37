"""Mean Teacher with hard labels: the student learns the classes that its EMA teacher is sure of."""

from marsnb.methods.segmentation import METHODS
from marsnb.methods.segmentation._consistency import TeacherMethod


@METHODS.register("pseudo_teacher")
class PseudoTeacher(TeacherMethod):
    """An EMA teacher's classes are learned on images that nothing was mixed into: Mean Teacher as ReCo's code has it.

    Open choices: ``TeacherMethod``. The form of Mean Teacher's own paper is ``mean_teacher``.

    Reference: Tarvainen and Valpola, Mean teachers are better role models, arXiv 1703.01780; Liu et al., arXiv
    2104.04465.
    """

    pixels = ()
    mixing = "none"
