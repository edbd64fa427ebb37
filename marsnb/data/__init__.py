"""Data sets, one file each; ``DATASETS`` maps a name to a function that opens it.

A classification data set registers ``open(protocol: str, **options) -> ClassificationData``.
"""

from collections.abc import Callable

from marsnb.data.base import ClassificationData
from marsnb.registry import Registry

DATASETS: Registry[Callable[..., ClassificationData]] = Registry("data set", "marsnb.data")
