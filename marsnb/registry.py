"""A registry that fills itself from its folder, so that a new entry is one new file."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Generic, TypeVar

from marsnb.errors import RecipeError

T = TypeVar("T")


class Registry(Generic[T]):
    """Names of one kind of thing (``"method"``), each defined in a file of its own under a package, given dotted.

    Modules whose name begins with ``_`` are not imported. One that fails to import raises; it is never skipped.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._entries: dict[str, T] = {}
        self._complete = False

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that enters an object under ``name``; a name taken already raises ``RecipeError``."""

        def enter(entry: T) -> T:
            if name in self._entries:
                raise RecipeError(f"two {self.kind}s are called {name!r}: rename one of them")
            self._entries[name] = entry
            return entry

        return enter

    def _filled(self) -> dict[str, T]:
        if not self._complete:
            package = importlib.import_module(self.package)
            for module in pkgutil.iter_modules(package.__path__):
                if not module.name.startswith("_"):
                    importlib.import_module(f"{self.package}.{module.name}")
            self._complete = True
        return self._entries

    def __getitem__(self, name: str) -> T:
        if name not in self:
            close = get_close_matches(name, self._entries, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise RecipeError(f"unknown {self.kind} {name!r}{hint}; known: {', '.join(sorted(self._entries))}")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._filled()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._filled()))

    def __len__(self) -> int:
        return len(self._filled())
