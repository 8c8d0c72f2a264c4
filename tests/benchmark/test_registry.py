"""Plugins are found lazily by name; unfinished, broken and colliding ones are said clearly."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmark.errors import PluginError, UnknownNameError
from benchmark.method import Card, Method
from benchmark.registry import METHODS, Registry, load_plugin_file
from benchmark.task import Task

GROUP = "debias_bench.methods"

GOOD = """
from benchmark.method import Card, Method

class {cls}(Method):
    name = "{name}"
    version = 1
    card = Card("A title", "A sentence.")

    def run(self, run):
        pass
"""


@dataclass
class Site:
    """A folder on the import path into which distributions are installed."""

    folder: Path

    def install(self, distribution: str, points: dict[str, str], modules: dict[str, str], group: str = GROUP) -> None:
        for name, text in modules.items():
            (self.folder / f"{name}.py").write_text(text)
        info = self.folder / f"{distribution}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = "".join(f"{name} = {value}\n" for name, value in points.items())
        (info / "entry_points.txt").write_text(f"[{group}]\n{lines}")

    def method(self, name: str, *, distribution: str, module: str, cls: str = "Fresh") -> None:
        self.install(distribution, {name: f"{module}:{cls}"}, {module: GOOD.format(cls=cls, name=name)})


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield Site(folder)
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and Path(sys.modules[name].__file__ or "").parent == folder:
            del sys.modules[name]


@pytest.fixture
def methods() -> Registry[Method]:
    """A registry of its own with the entry points that are installed now."""
    return Registry("method", GROUP, Method)  # type: ignore[type-abstract]


def finished(name: str) -> type[Method]:
    """A method class of this name."""
    body = {"name": name, "version": 1, "card": Card("A title", "A sentence."), "run": lambda self, run: None}
    return type("Finished", (Method,), body)


def test_names_loads_no_plugin(site: Site, methods: Registry[Method]) -> None:
    site.method("fresh_method", distribution="fresh", module="fresh_module")
    assert {"fresh_method", "vanilla"} <= set(methods.names())
    assert "fresh_module" not in sys.modules
    assert methods.get("fresh_method").card.title == "A title"
    assert "fresh_module" in sys.modules


def test_a_decorated_class_is_found_by_its_name(methods: Registry[Method]) -> None:
    decorated = methods.register(finished("by_hand"))
    assert methods.get("by_hand") is decorated
    assert "by_hand" in methods.names()


def test_an_unknown_name_names_the_nearest(methods: Registry[Method]) -> None:
    with pytest.raises(UnknownNameError, match="unknown method 'vanila'; did you mean 'vanilla'"):
        methods.get("vanila")
    with pytest.raises(UnknownNameError, match=r"known: .*vanilla"):
        methods.get("qqqqqqqqq")


def test_two_packages_with_one_name_are_an_error_that_names_both(site: Site, methods: Registry[Method]) -> None:
    site.method("twice", distribution="first", module="first_module")
    site.method("twice", distribution="second", module="second_module")
    with pytest.raises(PluginError, match=r"first_module:Fresh \(package first\)") as caught:
        methods.get("twice")
    assert "second_module:Fresh (package second)" in str(caught.value)


def test_the_same_entry_point_found_twice_is_one(site: Site, methods: Registry[Method]) -> None:
    site.method("fresh_method", distribution="fresh", module="fresh_module")
    site.install("fresh_again", {"fresh_method": "fresh_module:Fresh"}, {})
    assert methods.get("fresh_method").name == "fresh_method"


def test_a_class_may_not_take_the_name_of_another_one(methods: Registry[Method]) -> None:
    methods.register(finished("taken"))
    other = finished("taken")
    other.__qualname__ = "Other"
    with pytest.raises(PluginError, match=r"'taken' is defined twice: by .*\.Finished and by .*\.Other"):
        methods.register(other)


def test_a_class_may_not_take_the_name_of_an_entry_point_that_is_not_loaded(
    site: Site, methods: Registry[Method]
) -> None:
    site.method("fresh_method", distribution="fresh", module="fresh_module")
    methods.register(finished("fresh_method"))
    with pytest.raises(PluginError, match=r"defined twice: by .*\.Finished and by fresh_module.Fresh"):
        methods.get("fresh_method")


def test_a_broken_plugin_warns_where_plugins_are_listed_and_fails_where_it_is_used(
    site: Site, methods: Registry[Method]
) -> None:
    site.method("whole", distribution="whole", module="whole_module")
    site.install("broken", {"broken_method": "broken_module:Broken"}, {"broken_module": "import not_installed_package"})
    with pytest.warns(UserWarning, match=r"'broken_method' cannot be loaded from broken_module:Broken: ModuleNotFound"):
        loaded = methods.load_all()
    assert {"whole", "vanilla"} <= set(loaded)
    assert "broken_method" not in loaded
    with pytest.raises(PluginError, match="not_installed_package"):
        methods.get("broken_method")


@pytest.mark.parametrize(
    ("value", "text", "message"),
    [
        ("odd_module:absent", "", "AttributeError"),
        ("odd_module:thing", "thing = 3", "odd_module:thing is not a subclass of Method"),
        ("odd_module:Thing", "class Thing: name = 'odd'", "is not a subclass of Method"),
        ("odd_module:Fresh", GOOD.format(cls="Fresh", name="other"), "calls itself 'other'; make the names equal"),
        ("odd_module:Fresh", "raise SystemError('no')", "SystemError: no"),
    ],
)
def test_an_entry_point_that_is_no_plugin_says_why(
    site: Site, methods: Registry[Method], value: str, text: str, message: str
) -> None:
    site.install("odd", {"odd": value}, {"odd_module": text})
    with pytest.raises(PluginError, match=message):
        methods.get("odd")


@dataclass(frozen=True)
class NeedsOne:
    one: int


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"card": None}, "does not set card"),
        ({"version": None}, "does not set version"),
        ({"run": None}, "does not implement run"),
        ({"name": None}, "needs a class variable name, a Python identifier; got None"),
        ({"name": "not-one"}, "a Python identifier; got 'not-one'"),
        ({"Params": NeedsOne}, "parameters without a default: one"),
        ({"Params": dict}, "Params that are no dataclass"),
    ],
)
def test_an_unfinished_class_is_refused(methods: Registry[Method], change: dict[str, object], message: str) -> None:
    body = {"name": "unfinished", "version": 1, "card": Card("A", "B"), "run": lambda self, run: None} | change
    unfinished = type("Unfinished", (Method,), {name: value for name, value in body.items() if value is not None})
    with pytest.raises(PluginError, match=message):
        methods.register(unfinished)


def test_a_task_must_say_all_that_tables_show() -> None:
    tasks = Registry("task", "debias_bench.tasks", Task)  # type: ignore[type-abstract]
    body = {name: lambda self: None for name in ("split", "inputs", "backbone", "recipe")}
    with pytest.raises(PluginError, match="does not set version, title, summary, target, classes, biases, rhos"):
        tasks.register(type("Bare", (Task,), {**body, "name": "bare"}))


class TestPluginFile:
    """``--plugin file.py``."""

    def test_registers_its_methods(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.py"
        decorated = "from benchmark.registry import METHODS\n" + GOOD.format(cls="Mine", name="of_a_file")
        path.write_text(decorated.replace("class Mine", "@METHODS.register\nclass Mine"))
        load_plugin_file(path)
        load_plugin_file(tmp_path / "." / "mine.py")  # the same file: not a collision
        assert METHODS.get("of_a_file").__module__ == "debias_bench_plugin_mine"

    def test_must_exist(self, tmp_path: Path) -> None:
        with pytest.raises(PluginError, match=r"absent\.py: no such file"):
            load_plugin_file(tmp_path / "absent.py")

    @pytest.mark.parametrize(("text", "message"), [("import no_such", "ModuleNotFoundError"), ("def (", "SyntaxError")])
    def test_that_cannot_be_imported_says_why(self, tmp_path: Path, text: str, message: str) -> None:
        path = tmp_path / "broken.py"
        path.write_text(text)
        for _ in range(2):  # also when it is tried again
            with pytest.raises(PluginError, match=rf"broken\.py: {message}"):
                load_plugin_file(path)

    def test_must_be_python(self, tmp_path: Path) -> None:
        path = tmp_path / "notes.txt"
        path.write_text("no code")
        with pytest.raises(PluginError, match="not a Python file"):
            load_plugin_file(path)
