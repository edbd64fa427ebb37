"""Losses, one file each: a pure function and a thin ``nn.Module`` of the same name.

``LOSSES`` maps a name to the Module.
"""

from torch import nn

from marsnb.registry import Registry

LOSSES: Registry[type[nn.Module]] = Registry("loss", "marsnb.losses")
