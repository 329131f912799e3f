"""What a package offers, imported from its modules when it is asked for.

So importing one of its modules imports none that imports it: providers run in several threads, and two threads that import a
circle from two sides see half of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module


def exports(package: str, modules: Mapping[str, tuple[str, ...]]) -> Callable[[str], object]:
    """Return the `__getattr__` of `package` for the names that its modules, {module: names}, define."""
    where = {name: module for module, names in modules.items() for name in names}

    def find(name: str) -> object:
        if name not in where:
            msg = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(msg)
        return getattr(import_module(f"{package}.{where[name]}"), name)

    return find
