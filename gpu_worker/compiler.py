"""torch's compiler is loaded by whoever compiles, not by each training.

torchvision loads it for one function, and an optimizer tells it at each step where a graph ends.
To load it takes nearly as long as torch itself, and 160 MiB; here, networks are not compiled. So
modules stand in for it, which do what it does while nothing is compiled: nothing. Whatever else is
wanted of it, such as by `torch.compile`, loads it.
"""

import sys
import threading
from collections.abc import Callable, MutableSequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"
HELPERS = f"{COMPILER}.utils"

_loading = threading.RLock()


class _StandIn(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # who looks through all modules wants nothing of this one
            raise AttributeError(f"{self.__name__} has no {name}")
        return getattr(loaded(self.__name__), name)


class _Compiler(_StandIn):
    __path__: MutableSequence[str] = []  # noqa: RUF012

    @staticmethod
    def graph_break(msg: str = "") -> None:
        """As the compiler's own, where nothing is compiled."""

    @staticmethod
    def disable(fn: Callable[..., Any] | None = None, *arguments: Any, **options: Any) -> Any:
        """A function that is not to be compiled; nothing is."""
        return fn if fn is not None else loaded(COMPILER).disable(None, *arguments, **options)


class _Helpers(_StandIn):
    @staticmethod
    def is_compile_supported(device: Any) -> Any:
        return loaded(HELPERS).is_compile_supported(device)


class _Loaded(Loader):
    """Of a part of the compiler that is loaded together with all of it."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, _spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


class _Parts(MetaPathFinder):
    """Finds the compiler's parts as long as something stands in for the whole."""

    def find_spec(self, fullname: str, *_: Any) -> ModuleSpec | None:
        if not fullname.startswith(f"{COMPILER}.") or not _stands_in(COMPILER):
            return None
        return ModuleSpec(fullname, _Loaded(loaded(fullname)))


_parts = _Parts()


def stand_in() -> None:
    """From now on, nobody loads the compiler but who uses it."""
    if COMPILER not in sys.modules:
        sys.modules.update({COMPILER: _Compiler(COMPILER), HELPERS: _Helpers(HELPERS)})
        sys.meta_path.insert(0, _parts)


def loaded(name: str) -> Any:
    """The compiler or a part of it, itself."""
    with _loading:
        if _stands_in(COMPILER):
            del sys.modules[COMPILER], sys.modules[HELPERS]
            sys.meta_path.remove(_parts)
        return import_module(name)


def _stands_in(name: str) -> bool:
    return isinstance(sys.modules.get(name), _StandIn)
