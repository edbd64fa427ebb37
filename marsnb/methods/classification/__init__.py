"""Methods of image classification, one file each; ``METHODS`` maps a name to its class."""

from typing import TYPE_CHECKING

from marsnb.registry import Registry

if TYPE_CHECKING:
    from marsnb.methods.classification._parts import ClassificationMethod

METHODS: "Registry[type[ClassificationMethod]]" = Registry("method", "marsnb.methods.classification")
