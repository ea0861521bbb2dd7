"""YAML as data: words of YAML 1.2, and nothing that runs or grows."""

from __future__ import annotations

import pytest

from netloom.core.yaml_text import read_yaml, write_yaml

WORDS = ["yes", "no", "on", "2024-01-01", "12:30", "", "1", "1e3", "tRUE", "a: b", "# c", "漢\n", "a\x85\u2028b "]
VALUE = {"yes": WORDS, "n": [1, 0.5, True, None]}


def test_values_survive_a_round_trip() -> None:
    assert read_yaml(write_yaml(VALUE)) == VALUE
    assert read_yaml(write_yaml([VALUE["n"], VALUE["n"]])) == [VALUE["n"]] * 2  # written without aliases


def test_words_are_texts_and_keys_are_texts() -> None:
    text = "yes: [yes, no, Off, 2024-01-01, true, False]\n1: ~\nfalse: x\n"
    assert read_yaml(text) == {"yes": ["yes", "no", "Off", "2024-01-01", True, False], "1": None, "false": "x"}
    assert read_yaml('{"a": [1, "b"]}') == {"a": [1, "b"]}
    assert read_yaml("[12:30, 010, +1, 1_0, =, -2, 1e3, -0.5]") == ["12:30", "010", "+1", "1_0", "=", -2, 1000.0, -0.5]
    assert read_yaml("[1.50, true, null, ~, '', ]", only_texts=True) == ["1.50", "true", "null", "~", ""]
    assert read_yaml("a:\nb: ''", only_texts=True) == {"a": None, "b": ""}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [1]\nb: *x", "aliases such as"),
        ("!!python/object/apply:os.system [id]", r"could not determine a constructor.*line 1"),
        ("a: 1\nb: 2\na: 3", r"the key 'a' occurs twice \(line 3, column 1\)"),
        ("[1]: 2", "a key is not a text"),
        ("a: [1", r"\(line "),
        ("a:\n\t- b", r"\(line 2"),
        ("a\x00", "special characters|control characters"),
        ("[" * 20_000, "nested too deeply|nesting depth|node content"),
    ],
)
def test_other_texts_are_refused_with_their_place(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_yaml(text)
