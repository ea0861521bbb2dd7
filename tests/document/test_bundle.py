"""Extracting a network from one project and inserting it into another; renaming a parameter."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.document import EditError, Editor, Network, Node, Project, apply, to_json
from netloom.document.network_bundle import BundleError, extract, insert
from netloom.document.project import MAX_NETWORKS
from netloom.validation import analyze
from tests.compile.published import resnet18
from tests.networks import network, networks

VECTOR: tuple[str, dict[str, Any]] = ("Input", {"kind": "vector", "shape": [6]})


def nested_project(units: int = 6) -> Project:
    """`outer` uses `inner`, which has a parameter."""
    inner = network(
        {"input_1": VECTOR, "linear_1": ("Linear", {"units": "width * 2"}), "output_1": ("Output", {})}, width=units
    )
    outer = network(
        {
            "input_1": VECTOR,
            "block": ("Subnetwork", {"network": "inner", "values": {"width": 3}}),
            "output_1": ("Output", {}),
        }
    )
    main = network({"input_1": VECTOR, "whole": ("Subnetwork", {"network": "outer"}), "output_1": ("Output", {})})
    return networks(main=main, outer=outer, inner=inner, loose=network({"input_1": VECTOR}))


def insert_edit(bundle: Project) -> dict[str, Any]:
    return {"kind": "insert_networks", "bundle": to_json(bundle)}


def subnetworks_of(project: Project, name: str) -> list[str]:
    return [str(node.params["network"]) for node in project.networks[name].nodes.values() if node.type == "Subnetwork"]


def test_bundle_contains_only_the_required_networks() -> None:
    bundle = extract(nested_project(), "outer")
    assert (bundle.main, list(bundle.networks)) == ("outer", ["outer", "inner"])
    assert bundle.networks == {name: nested_project().networks[name] for name in ("outer", "inner")}
    renamed = extract(nested_project(), "main", "tower")
    assert (renamed.main, sorted(renamed.networks)) == ("tower", ["inner", "outer", "tower"])
    assert renamed.main_network == nested_project().main_network


@pytest.mark.parametrize(
    ("name", "called", "message"),
    [
        ("nothing", "", "no network 'nothing'"),
        ("outer", "Not A Name", "lowercase"),
        ("outer", "class", "class_1"),
        ("outer", "inner", "uses another network named inner"),
    ],
)
def test_invalid_extraction_raises_an_error(name: str, called: str, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        extract(nested_project(), name, called)


def test_empty_and_recursive_networks_are_rejected() -> None:
    nodes_of_a = {"self_1": Node(id="self_1", type="Subnetwork", params={"network": "b"})}
    nodes_of_b = {"self_1": Node(id="self_1", type="Subnetwork", params={"network": "a"})}
    project = networks(main=Network(), a=Network(nodes=nodes_of_a), b=Network(nodes=nodes_of_b))
    with pytest.raises(BundleError, match="empty"):
        extract(project, "main")
    with pytest.raises(BundleError, match="contains itself"):
        extract(project, "a")
    hostile = Project(name="x", networks={"a": Network(nodes=nodes_of_a), "b": Network(nodes=nodes_of_b)}, main="a")
    with pytest.raises(EditError, match="contains itself"):
        apply(nested_project(), insert_edit(hostile))


def test_insertion_is_a_single_undo_step() -> None:
    editor = Editor(networks(main=network({"input_1": VECTOR})), "epoch")
    before = editor.project
    assert editor.apply(insert_edit(extract(nested_project(), "outer")))
    assert sorted(editor.project.networks) == ["inner", "main", "outer"]
    assert not editor.apply(insert_edit(extract(nested_project(), "outer"))), "the same again changes nothing"
    editor.apply({"kind": "undo"})
    assert editor.project == before


def test_insertion_renames_conflicting_networks_and_references() -> None:
    target = networks(main=network({"input_1": VECTOR}), inner=network({"input_1": VECTOR}))
    result, names = insert(target, extract(nested_project(), "outer"))
    assert names == {"inner": "inner_2", "outer": "outer"}
    assert result.networks["inner"] == target.networks["inner"]
    assert subnetworks_of(result, "outer") == ["inner_2"]
    assert result.networks["inner_2"] == nested_project().networks["inner"]
    reinserted, same_names = insert(result, extract(nested_project(), "outer"))
    assert (reinserted, same_names) == (result, names), "found again under the names that they were given"
    other, names = insert(result, extract(nested_project(units=9), "outer"))
    assert names == {"inner": "inner_3", "outer": "outer_2"}
    assert subnetworks_of(other, "outer_2") == ["inner_3"]
    assert subnetworks_of(other, "outer") == ["inner_2"]


def test_inserted_main_network_is_renamed() -> None:
    project = nested_project()
    result, names = insert(project, extract(project, "main"))
    assert names["main"] == "main_2"
    assert result.main == "main"
    assert result.networks["main_2"] == project.main_network


def test_inserted_network_keeps_its_parameter_count() -> None:
    source = resnet18()
    target = networks(main=network({"input_1": VECTOR}), down=network({"input_1": VECTOR}))
    result, names = insert(target, extract(source, "main", "resnet"))
    resnet_project = result.model_copy(update={"main": names["resnet"]})
    assert analyze(resnet_project).totals.parameters == 11_689_512  # torchvision's resnet18


def test_number_of_networks_is_limited() -> None:
    small = network({"input_1": VECTOR})
    full = networks(main=small, **{f"n_{number}": small for number in range(MAX_NETWORKS - 1)})
    for edit in (
        insert_edit(extract(nested_project(), "outer")),
        {"kind": "create_network", "name": "one_more"},
        {"kind": "group", "nodes": ["input_1"], "name": "one_more"},
    ):
        with pytest.raises(EditError, match=rf"at most {MAX_NETWORKS} networks"):
            apply(full, edit)
    assert "renamed" in apply(full, {"kind": "rename_network", "name": "n_1", "to": "renamed"}).networks


@pytest.mark.parametrize(
    ("name", "message"), [("half", "half_1"), ("class", "class_1"), ("Half", "lowercase"), ("2nd", "lowercase")]
)
def test_invalid_network_name_error_suggests_a_valid_name(name: str, message: str) -> None:
    for edit in ({"kind": "create_network", "name": name}, {"kind": "rename_network", "name": "inner", "to": name}):
        with pytest.raises(EditError, match=message):
            apply(nested_project(), edit)
    with pytest.raises(BundleError, match=message):
        extract(nested_project(), "outer", name)


@pytest.mark.parametrize("bundle", [None, [], {}, {"name": "x"}, {"name": "x", "networks": {"main": {"nodes": 1}}}])
def test_malformed_bundle_is_rejected(bundle: Any) -> None:
    with pytest.raises(EditError):
        apply(nested_project(), {"kind": "insert_networks", "bundle": bundle})


NUMBERS = {"Linear": ["units"], "Subnetwork": ["repeat", "values"], "Reshape": ["shape"]}


def rename_edit(to: object, name: str = "width", network: str = "block") -> dict[str, Any]:
    return {"kind": "rename_parameter", "network": network, "name": name, "to": to, "numbers": NUMBERS}


def parametrized_project() -> Project:
    block = network(
        {
            "input_1": ("Input", {"field": "width", "kind": "vector", "shape": [6]}),
            "linear_1": ("Linear", {"units": "width*2 + max(width,  min_width)"}),
            "inner": ("Subnetwork", {"network": "inner", "values": {"width": "width // 2", "depth": "width"}}),
            "reshape_1": ("Reshape", {"shape": ["width", 1]}),
            "output_1": ("Output", {"name": "width"}),
        },
        width=4,
        min_width=2,
    )
    inner = network({"input_1": VECTOR, "linear_1": ("Linear", {"units": "width"})}, width=1, depth=2)
    uses = ("Subnetwork", {"network": "block", "values": {"min_width": 3, "width": 8}})
    return networks(
        main=network({"use_1": uses, "use_2": ("Subnetwork", {"network": "inner"})}), block=block, inner=inner
    )


def test_parameter_rename_updates_expressions_and_values() -> None:
    renamed = apply(parametrized_project(), rename_edit("channels"))
    nodes = renamed.networks["block"].nodes
    assert renamed.networks["block"].parameters == {"channels": 4, "min_width": 2}
    assert list(renamed.networks["block"].parameters) == ["channels", "min_width"]
    assert nodes["linear_1"].params["units"] == "channels*2 + max(channels,  min_width)", "written as it was"
    assert nodes["inner"].params["values"] == {"width": "channels // 2", "depth": "channels"}
    assert nodes["reshape_1"].params["shape"] == ["channels", 1]
    assert (nodes["input_1"].params["field"], nodes["output_1"].params["name"]) == ("width", "width"), "mere text"
    assert renamed.main_network.nodes["use_1"].params["values"] == {"min_width": 3, "channels": 8}
    assert renamed.networks["inner"] == parametrized_project().networks["inner"], "its width is another"
    assert apply(renamed, rename_edit("width", "channels")) == parametrized_project()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (rename_edit("min_width"), "already has a parameter min_width"),
        (rename_edit("max"), "not the name of a function"),
        (rename_edit("size"), "not the name of a function"),
        (rename_edit("Not a name"), "lowercase"),
        (rename_edit(7), "lowercase"),
        (rename_edit("x", "nothing"), "no parameter 'nothing'"),
        (rename_edit("x", network="nothing"), "no network 'nothing'"),
    ],
)
def test_invalid_parameter_name_is_rejected(edit: dict[str, Any], message: str) -> None:
    with pytest.raises(EditError, match=message):
        apply(parametrized_project(), edit)
