"""Losses, one file each: a pure function and a thin ``nn.Module`` of the same name.

``LOSSES`` maps a name to the Module.
"""

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn

from marsnb.registry import Registry

LOSSES: Registry[type[nn.Module]] = Registry("loss", "marsnb.losses")


def checked_temperature(temperature: float) -> float:
    """The temperature, or ``ValueError`` unless it is above 0."""
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    return temperature


class Loss(nn.Module):
    """Module form of a loss: settings are given once, tensors in each call.

    A subclass states ``function``, whose settings are those of its arguments that have a default other than ``None``;
    ``forward`` takes the others.

    Args:
        values, named: settings of the function, in its order or by name; its own defaults otherwise.

    Raises:
        TypeError: the function has no such setting.
        ValueError: ``temperature`` is not above 0.
    """

    function: ClassVar[Callable[..., Tensor]]

    def __init__(self, *values: Any, **named: Any) -> None:
        super().__init__()
        arguments = inspect.signature(type(self).function).parameters.values()
        defaults = {a.name: a.default for a in arguments if a.default not in (inspect.Parameter.empty, None)}
        self.tensors = [a.name for a in arguments if a.name not in defaults]
        given = dict(zip(defaults, values, strict=False)) | named
        if len(values) > len(defaults) or not given.keys() <= defaults.keys():
            raise TypeError(f"{type(self).__name__} has the settings {', '.join(defaults) or 'none'}, got {given}")
        self.settings = defaults | given
        if "temperature" in self.settings:
            checked_temperature(self.settings["temperature"])

    def forward(self, *tensors: Any, **named: Any) -> Tensor:
        """The loss of a batch; see the function."""
        return type(self).function(**dict(zip(self.tensors, tensors, strict=False)), **named, **self.settings)

    def extra_repr(self) -> str:
        """The settings that ``print`` shows."""
        return ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
