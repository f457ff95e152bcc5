"""Packages whose `__init__` only gathers names, run no further than a name is asked for.

`import openai` runs some 470 modules of types, and asyncio, which a chat request never touches. Here those packages
get a module `__getattr__` (PEP 562) in place of their `__init__`: a name that the `__init__` would import from a
submodule loads that submodule alone; any other name runs the real `__init__` in place. So every answer is the one that
the package itself would give, only later. `ORCLI_EAGER=1` turns it off.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

EAGER_VARIABLE = "ORCLI_EAGER"
_ROOTS = ("openai", "httpcore2", "asyncio")
_PACKAGES = frozenset({*_ROOTS, "openai.lib", "openai.types", "httpcore2._sync", "httpcore2._async"})
_TYPES = "openai.types."
_REEXPORT = re.compile(r"^from (\.[\w.]*) import (?:\(([^)]*)\)|(.*))$", re.MULTILINE)
_NAME = re.compile(r"(\w+)(?:\s+as\s+(\w+))?")


@contextmanager
def lazy_packages() -> Iterator[None]:
    """Import the client's packages lazily inside; whatever goes wrong there, forget them, so that they load eagerly.

    An interpreter with lazy imports of its own (Python 3.15, PEP 810) is asked to use those instead.
    """
    if os.environ.get(EAGER_VARIABLE) == "1":
        yield
        return
    if own := getattr(sys, "set_lazy_imports", None):
        own("all")
        yield
        return
    before = set(sys.modules)
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    except Exception:
        sys.meta_path.remove(finder)
        for name in sys.modules.keys() - before:
            if name.split(".")[0] in _ROOTS:
                del sys.modules[name]
        raise


class _Finder(MetaPathFinder):
    """Gives the chosen packages a loader that puts their `__init__` off."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _PACKAGES and not fullname.startswith(_TYPES):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.submodule_search_locations is None or not isinstance(spec.loader, SourceFileLoader):
            return None
        spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    """Makes a package that finds its names when they are asked for."""

    def __init__(self, real: SourceFileLoader) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave the making of the module to the import system."""

    def exec_module(self, module: ModuleType) -> None:
        """Set the package's `__getattr__`, and run nothing yet."""
        real, package = self._real, module.__name__
        sources: dict[str, tuple[str, str | None]] | None = None

        def find(name: str) -> Any:
            nonlocal sources
            if name.startswith("__") and name != "__all__":
                raise AttributeError(f"module {package!r} has no attribute {name!r}")
            if sources is None:
                sources = _reexports(real)
            if name in sources:
                submodule, attribute = sources[name]
                target: Any = import_module(submodule, package)
                value = target if attribute is None else getattr(target, attribute)
                setattr(module, name, value)
                return value
            if PathFinder.find_spec(f"{package}.{name}", module.__path__) is not None:
                return import_module(f"{package}.{name}")
            if module.__dict__.get("__getattr__") is find:
                del module.__dict__["__getattr__"]
                real.exec_module(module)
                return getattr(module, name)
            raise AttributeError(f"module {package!r} has no attribute {name!r}")

        module.__dict__["__getattr__"] = find


def _reexports(real: SourceFileLoader) -> dict[str, tuple[str, str | None]]:
    """Read from a package's source which submodule each name comes from; None for the submodule itself."""
    names: dict[str, tuple[str, str | None]] = {}
    for submodule, several, one in _REEXPORT.findall(real.get_data(real.path).decode()):
        for name, alias in _NAME.findall(several or one):
            names[alias or name] = (submodule + name, None) if submodule.endswith(".") else (submodule, name)
    return names
