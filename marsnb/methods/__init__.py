"""Training methods, one file each, a folder per task."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from marsnb.errors import RecipeError

if TYPE_CHECKING:
    from marsnb.registry import Registry


def methods_of(task: str) -> "Registry[Any]":
    """The registry of a task's methods; an unknown task raises ``RecipeError``."""
    if task not in ("classification", "segmentation"):
        raise RecipeError(f"unknown task {task!r}; known: classification, segmentation")
    return import_module(f"marsnb.methods.{task}").METHODS  # imported here: a method brings torch along
