"""Several networks on the design page: the canvas payload, and the parsing of numbers and expressions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from netloom.document import Network, Node, Project
from netloom.editing.live import Live, forms_differ
from netloom.layers import FormField, form, registry
from netloom.store import open_store
from netloom.templates import templates
from netloom.ui.components.fields import editor, read_number, read_text
from netloom.ui.design.canvas_payload import payload
from netloom.ui.design.networks import current_name, standing, users
from netloom.ui.design.state import VisibleNetwork


def nested_project(**networks: str) -> Project:
    """Networks, each with a node for every network that it names."""
    return Project(
        name="Nested",
        networks={
            name: Network(
                nodes={
                    f"n_{other}": Node(id=f"n_{other}", type="Subnetwork", params={"network": other})
                    for other in inside.split()
                }
            )
            for name, inside in networks.items()
        },
    )


def test_network_cannot_be_placed_inside_itself() -> None:
    project = nested_project(main="outer", outer="inner", inner="", loose="")
    assert standing(project, "inner") == ["loose"]
    assert standing(project, "outer") == ["inner", "loose"]
    assert standing(project, "main") == ["outer", "inner", "loose"]
    assert {name for name, parents in users(project).items() if not parents} == {"main", "loose"}
    assert standing(nested_project(main="a", a="b", b="a"), "a") == []


def test_visible_network_follows_a_rename() -> None:
    before = nested_project(main="", block="", other="")
    visible = VisibleNetwork("block", None, before.networks["block"], frozenset(before.networks))
    assert current_name(nested_project(main="", body="", other=""), visible) == "body"
    assert current_name(nested_project(main="", other=""), visible) == "main"


@pytest.fixture
def live(home: Path) -> Live:
    store = open_store(home)
    instance = Live(store, store.create_project(templates()["spirals"].project))
    instance.apply({"kind": "group", "nodes": ["linear_2", "tanh_2"], "name": "block"})
    return instance


def test_payload_describes_the_visible_network(live: Live) -> None:
    main = payload(live, VisibleNetwork("main"), "", [], 600)
    inside = payload(live, VisibleNetwork("block", 7), "", [], 600)
    json.dumps(inside)
    assert (main["shown"], inside["shown"], inside["wish"], inside["main"]) == ("main", "block", 7, "main")
    assert set(inside["network"]["nodes"]) == {"input_1", "linear_2", "tanh_2", "output_1"}
    assert inside["derived"]["edges"]["tanh_2"]["label"] == "(N, 64)"
    assert inside["derived"]["totals"] == main["derived"]["totals"]
    assert [(item["name"], item["used"], item["may_stand"]) for item in main["networks"]] == [
        ("main", False, False),
        ("block", True, True),
    ]
    assert [item["may_stand"] for item in inside["networks"]] == [False, False]
    node = main["derived"]["nodes"]["block_1"]
    assert (node["summary"], node["parameters"], node["inputs"][0]["name"]) == ("block", 4160, "in")


def test_palette_is_sent_only_to_browsers_without_it(live: Live) -> None:
    first = payload(live, VisibleNetwork("main"), "", [], 600)
    again = payload(live, VisibleNetwork("main"), "", [], 600, palettes={first["palette_version"]})
    assert [layer["type"] for layer in first["palette"] or ()] == [name for name in registry() if name != "Code"]
    assert again["palette"] is None
    assert len(json.dumps(again)) < 10_000
    live.apply({"kind": "project", "data": {"dataset": "digits"}})
    assert payload(live, VisibleNetwork("main"), "", [], 600)["palette_version"] != first["palette_version"]
    assert {layer["type"]: layer["common"] for layer in first["palette"] or ()}["Linear"]


def test_forms_update_on_changes_in_any_network(live: Live) -> None:
    before = live.project

    def forms_differ_after(**edit: Any) -> bool:
        live.apply(edit)
        return forms_differ(before, live.project)

    assert not forms_differ_after(kind="move", network="block", at={"linear_2": [5, 5]})
    assert forms_differ_after(kind="set", network="block", node="linear_2", params={"units": 7})
    live.apply({"kind": "undo"})
    assert forms_differ_after(kind="parameters", network="block", values={"width": 3})
    live.apply({"kind": "undo"})
    assert forms_differ_after(kind="create_network", name="other")


def field(layer: str, name: str) -> FormField:
    return next(item for item in form(registry()[layer]) if item.name == name)


@pytest.mark.parametrize(
    ("layer", "name", "typed", "read"),
    [
        ("Linear", "units", "64", 64),
        ("Linear", "units", " width * 4 ", "width * 4"),
        ("Dropout", "rate", "0.5", 0.5),
        ("Dropout", "rate", "drop / 2", "drop / 2"),
        ("Reshape", "shape", "8, 4 × 2", [8, 4, 2]),
        ("Reshape", "shape", "(8, 4)", [8, 4]),
        ("Reshape", "shape", "max(a, b), (a + 1) * 2", ["max(a, b)", "(a + 1) * 2"]),
    ],
)
def test_numbers_and_expressions_are_parsed(layer: str, name: str, typed: str, read: object) -> None:
    assert read_text(field(layer, name), typed) == read


@pytest.mark.parametrize("typed", ["1.5", "width *", "", "__import__('os')", "two words"])
def test_invalid_number_text_raises_an_error(typed: str) -> None:
    if typed.startswith("__"):  # syntactically an expression; validation rejects it
        assert read_number(typed) == typed
        return
    with pytest.raises(ValueError, match="Units must be a whole number"):
        read_text(field("Linear", "units"), typed)


@pytest.mark.parametrize("value", [0, -1, 2**53 - 1, 2**53])
def test_unbounded_integer_field_has_a_widget(value: int) -> None:
    shown, parse, draw = editor(FormField("seed", "int", value, "The seed"), value, ())
    assert parse(draw({"key": "seed", "on_change": lambda: None})) == value
    assert parse(shown) == value
