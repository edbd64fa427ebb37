"""Data sets, one file each; ``DATASETS`` maps a name to a function that opens it.

A classification data set registers ``open(protocol: str, **options) -> ClassificationData``, one for segmentation
registers the like in ``SEGMENTATION_DATASETS``.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from marsnb.data.base import ClassificationData
from marsnb.registry import Registry

if TYPE_CHECKING:
    from marsnb.data.segmentation import SegmentationData

DATASETS: Registry[Callable[..., ClassificationData]] = Registry("data set", "marsnb.data")
SEGMENTATION_DATASETS: Registry[Callable[..., "SegmentationData"]] = Registry("segmentation data set", "marsnb.data")
