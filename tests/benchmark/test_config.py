"""Typed configuration: nothing unknown, nothing of the wrong type, nothing that a key could not hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta

from benchmark.config import convert, read_yaml
from benchmark.errors import ConfigError, UnknownNameError


@dataclass(frozen=True)
class Leaf:
    rate: Annotated[float, Meta(gt=0)] = 1.0
    kind: Literal["left", "right"] = "left"


@dataclass(frozen=True)
class Tree:
    leaf: Leaf = Leaf()
    leaves: list[str | Leaf] | None = None
    named: dict[str, Leaf] = field(default_factory=dict)
    free: dict[str, Any] = field(default_factory=dict)
    pair: tuple[Leaf, ...] = ()


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"laef": {}}, "key in t 'laef'; did you mean 'leaf'"),
        ({"leaf": {"rates": 1}}, "key in t.leaf 'rates'; did you mean 'rate'"),
        ({"leaves": ["a", {"rtae": 1}]}, r"key in t.leaves\[1\] 'rtae'; did you mean 'rate'"),
        ({"named": {"x": {"knd": 1}}}, "key in t.named.x 'knd'; did you mean 'kind'"),
        ({"pair": [{"qq": 1}]}, r"key in t.pair\[0\] 'qq'; known: kind, rate"),
    ],
)
def test_an_unknown_key_is_refused_at_every_depth(value: dict[str, Any], where: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown {where}"):
        convert(value, Tree, "t")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"leaf": {"rate": "fast"}}, r"t: Expected `float`, got `str` - at `\.leaf\.rate`"),
        ({"leaf": {"rate": True}}, "Expected `float`, got `bool`"),
        ({"leaf": {"rate": 0}}, "Expected `float` > 0"),
        ({"leaf": {"kind": "up"}}, r"Invalid enum value 'up' - at `\.leaf\.kind`"),
        ({"leaves": 3}, "Expected `array | null`, got `int`"),
        ({"named": []}, "Expected `object`, got `array`"),
        ({"leaf": {"rate": float("inf")}}, r"t\.leaf\.rate is inf; expected a finite number"),
        ({"free": {"a": [1, {"b": float("nan")}]}}, r"t\.free\.a\[1\]\.b is nan; expected a finite number"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(value: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        convert(value, Tree, "t")


def test_what_is_right_comes_through_with_defaults() -> None:
    tree = convert({"leaves": ["a", {"rate": 2}], "free": {"any": [None, "thing"]}}, Tree, "t")
    assert tree == Tree(leaves=["a", Leaf(2.0)], free={"any": [None, "thing"]})


class TestYaml:
    """Sweep files are YAML 1.2."""

    def read(self, folder: Path, text: str | bytes) -> Any:
        path = folder / "file.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_yaml(path)

    @pytest.mark.parametrize(
        ("text", "value"), [("1e-3", 0.001), ("1E3", 1000.0), (".5", 0.5), ("no", "no"), ("012", 12), ("é", "é")]
    )
    def test_scalars(self, tmp_path: Path, text: str, value: object) -> None:
        found = self.read(tmp_path, f"value: {text}")["value"]
        assert found == value
        assert type(found) is type(value)

    def test_a_key_given_twice_is_an_error_that_says_where(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r'duplicate key "seeds".*line 3'):
            self.read(tmp_path, "seeds: 1\ntasks: []\nseeds: 2\n")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("a: [1, 2", r"file\.yaml is not valid YAML: .*line 1"),
            ("a: b: c", "not valid YAML"),
            ("a: !!python/object/apply:os.getcwd []", "not valid YAML"),
            (b"a: \xff\xfe", "not a text file in UTF-8"),
        ],
    )
    def test_what_is_no_yaml_says_so(self, tmp_path: Path, content: str | bytes, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            self.read(tmp_path, content)

    def test_a_missing_file_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"cannot read .*absent\.yaml: No such file"):
            read_yaml(tmp_path / "absent.yaml")
        with pytest.raises(ConfigError, match="Is a directory"):
            read_yaml(tmp_path)
