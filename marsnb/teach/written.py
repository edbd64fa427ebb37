"""What is wrong with a function that a reader wrote: its values are compared with the right ones, then with slips.

A slip is the right computation with one usual mistake in it, so a wrong value is recognised, also where two slips meet.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from marsnb.teach.exercise import Verdict

Slips = frozenset[str]
Arguments = tuple[Any, ...]
Function = Callable[..., Any]
CLOSE: Any = {"rtol": 1e-3, "atol": 1e-4, "equal_nan": True}


class NotYet(Exception):  # noqa: N818
    """One word to the reader, where there is nothing to compare."""


def number(fn: Function, arguments: Arguments) -> tuple[Tensor, str]:
    """What a loss gives, as one number, and a word where it was a tensor of another shape."""
    if (out := fn(*arguments)) is None:
        raise NotYet("Nothing is written, or the last line lacks a `return`: the function gives `None`.")
    value = torch.as_tensor(out.detach() if isinstance(out, Tensor) else float(out)).float()
    word = f"It returns a tensor of shape {list(value.shape)}, not one number: take the mean." if value.ndim else ""
    return value.mean(), word


@dataclass(eq=False)
class Written:
    """A check of a function; call it with the function.

    Attributes:
        tried: arguments to try it with.
        right: the package's function: the right values.
        variant: arguments and names of slips to the value with these slips in it.
        slips: name of each slip and what the reader is told.
        clash: sets of which at most one slip can be in a function.
        run: function and arguments to the value that is compared, and a word on its form; raises `NotYet`.
        more: what else to look at once all values are right: function to a word, or "".
        praise, note: said once all is right; a note is made from the function.
    """

    tried: Sequence[Arguments]
    right: Function
    variant: Callable[[Arguments, Slips], Tensor]
    slips: dict[str, str]
    clash: tuple[set[str], ...]
    praise: str
    run: Callable[[Function, Arguments], tuple[Tensor, str]] = number
    more: Callable[[Function], str] = lambda fn: ""
    note: Callable[[Function], str] = lambda fn: ""

    def __call__(self, fn: Function) -> Verdict:
        """A `Verdict` on a function, which notebooks display."""
        try:
            values, words = zip(*(self.run(fn, arguments) for arguments in self.tried), strict=True)
        except NotYet as said:
            return Verdict(False, f"Not yet. {said}")
        except Exception as error:  # whatever a reader's code raises
            return Verdict(False, f"Not yet. It stops: `{type(error).__name__}: {error}`.")
        faults = [*self._named(values), *[word for word in words if word][:1]]
        faults = faults or [word for word in [self.more(fn)] if word]
        if faults:
            return Verdict(False, "Not yet.", tuple(faults))
        return Verdict(True, f"Right. {self.praise}{self.note(fn)}")

    def possible(self) -> Iterable[Slips]:
        """No slip, each slip, and each two that can meet."""
        for k in (0, 1, 2):
            for names in combinations(self.slips, k):
                if all(len(clash.intersection(names)) < 2 for clash in self.clash):
                    yield frozenset(names)

    @cached_property
    def variants(self) -> dict[Slips, list[Tensor]]:
        """Values of all `possible` slips at all that is tried."""
        with torch.no_grad():
            return {slips: [self.variant(arguments, slips) for arguments in self.tried] for slips in self.possible()}

    def _named(self, values: Sequence[Tensor]) -> list[str]:
        if all(map(same, values, [self.run(self.right, arguments)[0] for arguments in self.tried])):
            return []
        for slips, wrong in self.variants.items():
            if all(map(same, values, wrong)):
                return [self.slips[name] for name in self.slips if name in slips]
        if not all(value.isfinite().all() for value in values):
            return ["It gives `nan` or `inf`: is there a logarithm of 0, or a division by 0?"]
        return ["The value is none that the check knows. Print it step by step beside the equation."]


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two values are equal up to rounding."""
    return a.shape == b.shape and torch.allclose(a.float(), b.float(), **CLOSE)


def shape(out: Any) -> str:
    """The shape of what a reader's function gave, or what it is instead of a tensor."""
    return f"of shape {list(out.shape)}" if isinstance(out, Tensor) else f"a {type(out).__name__}"


def gradient(fn: Function, right: Function, arguments: Arguments, names: dict[str, int]) -> str:
    """A word where the gradient of a right value is wrong; ``names`` and places of the arguments that ask for one."""
    inputs, out = [arguments[place] for place in names.values()], fn(*arguments)
    if not (isinstance(out, Tensor) and out.requires_grad):
        return "The value is right, but no gradient passes: leave out `.item()`, `.detach()` and `torch.tensor(...)`."
    wanted = torch.autograd.grad(right(*arguments), inputs, allow_unused=True)
    found = torch.autograd.grad(out.sum(), inputs, allow_unused=True)
    for name, w, f in zip(names, wanted, found, strict=True):
        if w is None and f is not None and f.any():
            return f"The value is right, but a gradient flows into `{name}`: it counts as a constant (`.detach()`)."
        if w is not None and (f is None or not torch.allclose(f, w, **CLOSE)):
            return f"The value is right, but the gradient of `{name}` is not: is it detached somewhere?"
    return ""
