"""Methods of segmentation, one file each; ``METHODS`` maps a name to its class."""

from typing import TYPE_CHECKING

from marsnb.registry import Registry

if TYPE_CHECKING:
    from marsnb.methods.segmentation._parts import SegmentationMethod

METHODS: "Registry[type[SegmentationMethod]]" = Registry("segmentation method", "marsnb.methods.segmentation")
