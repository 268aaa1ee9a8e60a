"""YAML is read as version 1.2 reads it, with places, or refused."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kafkasim.scenario.errors import Mark, ScenarioError
from kafkasim.scenario.yaml_reader import node_of, plain, read


def test_values() -> None:
    text = "a: 1\nb: -2.5\nc: text\nd: [true, null, '1e3', \"no\"]\ne: {f: 0x10, g: 50_000}\nh:\ni: 2024-01-01\nj: .5\n"
    assert plain(read(text, "x")) == {
        "a": 1, "b": -2.5, "c": "text", "d": [True, None, "1e3", "no"], "e": {"f": 16, "g": 50000}, "h": None,
        "i": "2024-01-01", "j": 0.5,
    }  # fmt: skip


def test_places_of_keys_and_values() -> None:
    root = read("a:\n  b: {c: 7}\n", "x.yaml")
    assert isinstance(root.value, dict)
    inner = root.value["a"].value
    assert isinstance(inner, dict)
    deepest = inner["b"].value
    assert isinstance(deepest, dict)
    assert deepest["c"].mark == Mark("x.yaml", 2, 10)
    assert deepest["c"].key_mark == Mark("x.yaml", 2, 7)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("1e3", "write the number out (1000)"), ("1.5E-3", "(0.0015)"), ("no", "write false"), ("On", "write true"),
        ("10:30", "10h30m"), ("1:30:00", "10h30m"), ("012", "write 12"), ("0o14", "write 14"), (".nan", "finite"),
        ("-.inf", "finite"),
    ],
)  # fmt: skip
def test_traps_say_what_to_write(text: str, advice: str) -> None:
    for document in (f"a: {text}", f"{text}: 1", f"[{text}]"):
        with pytest.raises(ScenarioError) as caught:
            read(document, "x")
        assert advice in str(caught.value)


@pytest.mark.parametrize("text", ["1e3", "no", "10:30", "012", "on"])
def test_in_quotes_they_are_text(text: str) -> None:
    assert plain(read(f"a: '{text}'", "x")) == {"a": text}


def test_all_mistakes_of_a_file_come_together() -> None:
    with pytest.raises(ScenarioError) as caught:
        read("a: 1e3\na: no\nb: !x 1\n", "x")
    assert [(m.line, m.column, m.path) for m in caught.value.mistakes] == [
        (1, 4, "a"), (2, 4, "a"), (2, 1, "a"), (3, 4, "b")
    ]  # fmt: skip


scalars = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(max_size=20)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), trees, max_size=4))
def test_what_pyyaml_writes_is_read_back(tree: dict[str, object]) -> None:
    text = yaml.safe_dump(tree, allow_unicode=True, default_style='"')
    if "&" in text or "!!" in text:
        return  # shared objects and tagged numbers: refused on purpose
    assert plain(read(text, "x")) == tree


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read(text, "x")
    except ScenarioError as error:
        assert error.mistakes


def test_plain_data_as_nodes() -> None:
    assert plain(node_of({1: [1.5, "x", None, {"y": True}]}, "here")) == {"1": [1.5, "x", None, {"y": True}]}
    for bad in (float("nan"), float("inf"), object(), {1, 2}):
        with pytest.raises(ScenarioError):
            node_of({"a": bad}, "here")
