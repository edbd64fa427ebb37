"""Run the numbered notebooks with papermill: ``build/<profile>/`` gets the executed copies."""

from typing import Any

from marsnb.errors import NotebookError

_WORDS = {"true": True, "yes": True, "1": True, "on": True, "false": False, "no": False, "0": False, "off": False}


def as_bool(value: Any, default: bool | None = None) -> bool | None:
    """A notebook's switch as true or false, however it was given: papermill's ``-p train false`` gives a text.

    Args:
        value: ``True``, ``False``, ``None``, 0, 1, or a word such as ``"false"`` or ``"yes"``.
        default: what ``None`` and ``"none"`` stand for.

    Raises:
        NotebookError: anything else.
    """
    if value is None or (isinstance(value, str) and value.strip().lower() in ("", "none", "null")):
        return default
    if isinstance(value, bool):
        return value
    known = _WORDS.get(str(value).strip().lower())
    if known is None:
        raise NotebookError(f"{value!r} is neither true nor false: give true, false or none")
    return known
