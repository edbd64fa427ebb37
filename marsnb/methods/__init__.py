"""Training methods, one file each, a folder per task."""

from typing import TYPE_CHECKING, Any

from marsnb.errors import RecipeError

if TYPE_CHECKING:
    from marsnb.registry import Registry


def methods_of(task: str) -> "Registry[Any]":
    """The registry of a task's methods.

    Raises:
        RecipeError: no such task.
    """
    if task == "classification":
        from marsnb.methods.classification import METHODS

        return METHODS
    if task == "segmentation":
        from marsnb.methods.segmentation import METHODS as SEGMENTATION

        return SEGMENTATION
    raise RecipeError(f"unknown task {task!r}; known: classification, segmentation")
