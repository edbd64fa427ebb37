"""Errors a user can mend. The command line prints them as one line and exits with 1."""


def one_line(text: object) -> str:
    """A message, maybe with names of files in it, as one line that no terminal takes for anything but text."""
    shown = " ".join(str(text).split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


class MarsnbError(Exception):
    """A mistake with a known cause: the message is one line that names the cause and the fix."""


class DataError(MarsnbError):
    """A data set is missing, incomplete or damaged."""


class NoDataError(DataError):
    """A data set is not on this machine."""


class RecipeError(MarsnbError):
    """A recipe, a profile or a run's settings do not make sense."""


class TrainingError(MarsnbError):
    """A run stopped, and what it had measured up to there is kept."""


class NotebookError(MarsnbError):
    """A notebook failed, or was asked for a parameter it does not have."""
