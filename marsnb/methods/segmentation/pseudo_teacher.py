"""Mean Teacher with hard labels: the student learns the classes that its EMA teacher is sure of."""

from marsnb.methods.segmentation import METHODS
from marsnb.methods.segmentation._consistency import TeacherMethod


@METHODS.register("pseudo_teacher")
class PseudoTeacher(TeacherMethod):
    """An EMA teacher's classes are learned on images that nothing was mixed into.

    It is the row of the mixing methods without a mixing: what they add to it is the mixing alone. The form of Mean
    Teacher's own paper, with probabilities and noise, is ``mean_teacher``; Wang et al. do not say which they took.

    Open choices: ``TeacherMethod``.

    Reference: Tarvainen and Valpola, Mean teachers are better role models, arXiv 1703.01780.
    """

    pixels = ()
    mixing = "none"
