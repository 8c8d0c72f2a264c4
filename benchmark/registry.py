"""Tasks, methods and data sources by name: found lazily, loaded when asked for.

A plugin is registered by the decorator ``@METHODS.register`` (or ``TASKS``, ``SOURCES``) in a module that is reached
through an entry point of an installed package (groups ``debias_bench.methods``, ``debias_bench.tasks``,
``debias_bench.sources``) or through ``--plugin file.py``. Our own plugins come by entry points too.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import sys
import warnings
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from benchmark.errors import PluginError, UnknownNameError
from benchmark.method import Method
from benchmark.source import Source
from benchmark.task import NoParams, Task


class Named(Protocol):
    """A plugin class: it says its name."""

    name: ClassVar[str]


T = TypeVar("T", bound=Named)


class Registry(Generic[T]):
    """Plugin classes of one kind, by name."""

    def __init__(self, kind: str, group: str, base: type[T]) -> None:
        """``kind`` names it in messages, ``group`` is its entry-point group, ``base`` what plugins subclass."""
        self.kind = kind
        self.group = group
        self.base = base
        self._classes: dict[str, type[T]] = {}
        self._checked: set[str] = set()

    def register(self, plugin: type[T]) -> type[T]:
        """Class decorator.

        Raises:
            PluginError: The class is unfinished, or another class has its name.
        """
        where = f"{plugin.__module__}.{plugin.__qualname__}"
        name = getattr(plugin, "name", None)
        if not isinstance(name, str) or not name.isidentifier():
            raise PluginError(f"{self.kind} {where} needs a class variable name, a Python identifier; got {name!r}")
        if problem := self._unfinished(plugin):
            raise PluginError(f"{self.kind} {name!r} ({where}) {problem}")
        known = self._classes.get(name)
        if known is not None and (known.__module__, known.__qualname__) != (plugin.__module__, plugin.__qualname__):
            raise PluginError(
                f"{self.kind} {name!r} is defined twice: by {known.__module__}.{known.__qualname__} "
                f"and by {where}; rename one"
            )
        self._classes[name] = plugin
        return plugin

    def _unfinished(self, plugin: type[T]) -> str | None:
        """What a class still lacks to be a plugin of this kind."""
        if inspect.isabstract(plugin):
            return f"does not implement {', '.join(sorted(plugin.__abstractmethods__))}"
        if missing := [name for name in inspect.get_annotations(self.base) if not hasattr(plugin, name)]:
            return f"does not set {', '.join(missing)}"
        params = getattr(plugin, "Params", None)
        if params is not None and not dataclasses.is_dataclass(params):
            return "has Params that are no dataclass"
        required = [field.name for field in dataclasses.fields(params or NoParams) if not _has_default(field)]
        return f"has parameters without a default: {', '.join(required)}" if required else None

    @cached_property
    def _entry_points(self) -> dict[str, list[EntryPoint]]:
        found: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=self.group):
            if all(point.value != other.value for other in found.setdefault(point.name, [])):
                found[point.name].append(point)
        return found

    def names(self) -> list[str]:
        """All names, sorted; loads nothing."""
        return sorted({*self._classes, *self._entry_points})

    def get(self, name: str) -> type[T]:
        """The class of this name.

        Raises:
            UnknownNameError: There is none; says the nearest name.
            PluginError: It cannot be loaded, or two packages define it.
        """
        if name not in self._checked:
            self._load(name)
            self._checked.add(name)
        return self._classes[name]

    def _load(self, name: str) -> None:
        points = self._entry_points.get(name, [])
        if not points and name in self._classes:
            return
        if not points:
            if broken_plugins:
                raise PluginError(f"no {self.kind} {name!r} is known here; {'; '.join(broken_plugins)}")
            raise UnknownNameError(self.kind, name, self.names())
        if len(points) > 1:
            places = " and ".join(f"{p.value} (package {p.dist.name if p.dist else '?'})" for p in points)
            raise PluginError(f"{self.kind} {name!r} is defined twice: by {places}; uninstall one")
        try:
            plugin = points[0].load()
        except PluginError:
            raise
        except Exception as error:
            raise PluginError(
                f"{self.kind} {name!r} cannot be loaded from {points[0].value}: {type(error).__name__}: {error}"
            ) from error
        if not (inspect.isclass(plugin) and issubclass(plugin, self.base)):
            raise PluginError(f"{self.kind} {name!r}: {points[0].value} is not a subclass of {self.base.__name__}")
        if getattr(plugin, "name", name) != name:
            raise PluginError(
                f"{self.kind} {name!r}: {points[0].value} calls itself {plugin.name!r}; make the names equal"
            )
        self.register(plugin)

    def load_all(self) -> dict[str, type[T]]:
        """Every plugin that loads, by name; a broken one is a warning."""
        loaded = {}
        for name in self.names():
            try:
                loaded[name] = self.get(name)
            except PluginError as error:
                warnings.warn(str(error), stacklevel=2)
        return loaded


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


TASKS: Registry[Task] = Registry("task", "debias_bench.tasks", Task)  # type: ignore[type-abstract]
METHODS: Registry[Method] = Registry("method", "debias_bench.methods", Method)  # type: ignore[type-abstract]
SOURCES: Registry[Source] = Registry("data source", "debias_bench.sources", Source)  # type: ignore[type-abstract]


broken_plugins: list[str] = []
"""What is wrong with plugin files that could not be loaded in this process, where others have to go on."""


def load_plugin_file(path: Path) -> None:
    """Import a file that registers plugins; the same file twice is imported once.

    The module's name is made of the file's name alone: what was pickled by its classes can be read where it was copied.

    Raises:
        PluginError: It is not there, its import fails, or another file of this name was loaded.
    """
    path = path.resolve()
    name = f"debias_bench_plugin_{path.stem}"
    if name in sys.modules:
        loaded = Path(sys.modules[name].__file__ or "")
        if loaded == path or loaded.read_bytes() == path.read_bytes():
            return
        raise PluginError(f"--plugin {path}: another plugin of this name, {loaded}, is loaded; rename one")
    if not path.is_file():
        raise PluginError(f"--plugin {path}: no such file")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"--plugin {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except PluginError:
        del sys.modules[name]
        raise
    except Exception as error:
        del sys.modules[name]
        raise PluginError(f"--plugin {path}: {type(error).__name__}: {error}") from error
