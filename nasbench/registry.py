"""Names that users write, and what they stand for."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from nasbench.errors import UnknownNameError


def unknown_name(what: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """Build the error for a name nobody registered: the closest one, then the list."""
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    listed = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
    return UnknownNameError(f"no {what} is named {str(name)!r}.{hint} Known: {listed or 'none'}.")


class Registry:
    """A kind of thing by name, each name taken once.

    A value is a factory, or the place of one as `module:attribute`, imported when it is first asked for.
    """

    def __init__(self, what: str, places: dict[str, str] | None = None) -> None:
        self.what = what
        self._entries: dict[str, Any] = dict(places or {})

    def register(self, name: str) -> Callable[[Any], Any]:
        """Register the decorated factory under `name`; a name that is taken is our own bug."""

        def add(factory: Any) -> Any:
            if name in self._entries:
                raise AssertionError(f"the {self.what} {name!r} is registered twice")
            self._entries[name] = factory
            return factory

        return add

    def find(self, name: str) -> Any:
        """Give the factory of `name`.

        Raises:
            UnknownNameError: nobody registered it.
        """
        if name not in self._entries:
            raise unknown_name(self.what, name, self._entries)
        entry = self._entries[name]
        if isinstance(entry, str):
            module, _, attribute = entry.partition(":")
            entry = self._entries[name] = getattr(importlib.import_module(module), attribute)
        return entry

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))
