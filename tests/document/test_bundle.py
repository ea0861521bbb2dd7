"""Taking a network out of one project and putting it into another; giving a parameter another name."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.document import EditError, Editor, Network, Node, Project, apply, to_json
from netloom.document.network_bundle import BundleError, extract, insert
from netloom.document.project import MAX_NETWORKS
from netloom.validation import analyse
from tests.compile.published import resnet18
from tests.networks import network, networks

VECTOR: tuple[str, dict[str, Any]] = ("Input", {"kind": "vector", "shape": [6]})


def layered(units: int = 6) -> Project:
    """`outer` stands on `inner`, which has a parameter."""
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


def insertion(bundle: Project) -> dict[str, Any]:
    return {"kind": "insert_networks", "bundle": to_json(bundle)}


def standing_for(project: Project, name: str) -> list[str]:
    return [str(node.params["network"]) for node in project.networks[name].nodes.values() if node.type == "Subnetwork"]


def test_a_bundle_holds_what_the_network_needs_and_no_more() -> None:
    bundle = extract(layered(), "outer")
    assert (bundle.main, list(bundle.networks)) == ("outer", ["outer", "inner"])
    assert bundle.networks == {name: layered().networks[name] for name in ("outer", "inner")}
    called = extract(layered(), "main", "tower")
    assert (called.main, sorted(called.networks)) == ("tower", ["inner", "outer", "tower"])
    assert called.main_network == layered().main_network


@pytest.mark.parametrize(
    ("name", "called", "said"),
    [
        ("nothing", "", "no network 'nothing'"),
        ("outer", "Not A Name", "lowercase"),
        ("outer", "class", "class_1"),
        ("outer", "inner", "uses another network named inner"),
    ],
)
def test_what_cannot_be_taken_out_gets_a_sentence(name: str, called: str, said: str) -> None:
    with pytest.raises(BundleError, match=said):
        extract(layered(), name, called)


def test_an_empty_network_and_one_that_stands_in_itself_are_refused() -> None:
    within = {"self_1": Node(id="self_1", type="Subnetwork", params={"network": "b"})}
    back = {"self_1": Node(id="self_1", type="Subnetwork", params={"network": "a"})}
    project = networks(main=Network(), a=Network(nodes=within), b=Network(nodes=back))
    with pytest.raises(BundleError, match="empty"):
        extract(project, "main")
    with pytest.raises(BundleError, match="contains itself"):
        extract(project, "a")
    hostile = Project(name="x", networks={"a": Network(nodes=within), "b": Network(nodes=back)}, main="a")
    with pytest.raises(EditError, match="contains itself"):
        apply(layered(), insertion(hostile))


def test_it_comes_in_as_one_step_that_can_be_undone() -> None:
    editor = Editor(networks(main=network({"input_1": VECTOR})), "epoch")
    before = editor.project
    assert editor.apply(insertion(extract(layered(), "outer")))
    assert sorted(editor.project.networks) == ["inner", "main", "outer"]
    assert not editor.apply(insertion(extract(layered(), "outer"))), "the same again changes nothing"
    editor.apply({"kind": "undo"})
    assert editor.project == before


def test_another_network_of_the_same_name_stays_and_references_are_rewritten() -> None:
    target = networks(main=network({"input_1": VECTOR}), inner=network({"input_1": VECTOR}))
    made, names = insert(target, extract(layered(), "outer"))
    assert names == {"inner": "inner_2", "outer": "outer"}
    assert made.networks["inner"] == target.networks["inner"]
    assert standing_for(made, "outer") == ["inner_2"]
    assert made.networks["inner_2"] == layered().networks["inner"]
    again, twice = insert(made, extract(layered(), "outer"))
    assert (again, twice) == (made, names), "found again under the names that they were given"
    other, names = insert(made, extract(layered(units=9), "outer"))
    assert names == {"inner": "inner_3", "outer": "outer_2"}
    assert standing_for(other, "outer_2") == ["inner_3"]
    assert standing_for(other, "outer") == ["inner_2"]


def test_main_is_never_taken_for_a_block() -> None:
    project = layered()
    made, names = insert(project, extract(project, "main"))
    assert names["main"] == "main_2"
    assert made.main == "main"
    assert made.networks["main_2"] == project.main_network


def test_a_published_network_keeps_its_size_in_another_project() -> None:
    source = resnet18()
    target = networks(main=network({"input_1": VECTOR}), down=network({"input_1": VECTOR}))
    made, names = insert(target, extract(source, "main", "resnet"))
    alone = made.model_copy(update={"main": names["resnet"]})
    assert analyse(alone).totals.parameters == 11_689_512  # torchvision's resnet18


def test_there_is_room_for_so_many_networks_and_no_more() -> None:
    small = network({"input_1": VECTOR})
    full = networks(main=small, **{f"n_{number}": small for number in range(MAX_NETWORKS - 1)})
    for edit in (
        insertion(extract(layered(), "outer")),
        {"kind": "create_network", "name": "one_more"},
        {"kind": "group", "nodes": ["input_1"], "name": "one_more"},
    ):
        with pytest.raises(EditError, match=rf"at most {MAX_NETWORKS} networks"):
            apply(full, edit)
    assert "renamed" in apply(full, {"kind": "rename_network", "name": "n_1", "to": "renamed"}).networks


@pytest.mark.parametrize(
    ("name", "said"), [("half", "half_1"), ("class", "class_1"), ("Half", "lowercase"), ("2nd", "lowercase")]
)
def test_a_name_that_is_refused_is_said_to_be_taken_only_where_it_is(name: str, said: str) -> None:
    for edit in ({"kind": "create_network", "name": name}, {"kind": "rename_network", "name": "inner", "to": name}):
        with pytest.raises(EditError, match=said):
            apply(layered(), edit)
    with pytest.raises(BundleError, match=said):
        extract(layered(), "outer", name)


@pytest.mark.parametrize("bundle", [None, [], {}, {"name": "x"}, {"name": "x", "networks": {"main": {"nodes": 1}}}])
def test_a_malformed_bundle_is_refused(bundle: Any) -> None:
    with pytest.raises(EditError):
        apply(layered(), {"kind": "insert_networks", "bundle": bundle})


NUMBERS = {"Linear": ["units"], "Subnetwork": ["repeat", "values"], "Reshape": ["shape"]}


def renaming(to: object, name: str = "width", network: str = "block") -> dict[str, Any]:
    return {"kind": "rename_parameter", "network": network, "name": name, "to": to, "numbers": NUMBERS}


def parametrised() -> Project:
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


def test_a_parameter_is_renamed_where_it_is_read_and_where_it_is_given() -> None:
    made = apply(parametrised(), renaming("channels"))
    nodes = made.networks["block"].nodes
    assert made.networks["block"].parameters == {"channels": 4, "min_width": 2}
    assert list(made.networks["block"].parameters) == ["channels", "min_width"]
    assert nodes["linear_1"].params["units"] == "channels*2 + max(channels,  min_width)", "written as it was"
    assert nodes["inner"].params["values"] == {"width": "channels // 2", "depth": "channels"}
    assert nodes["reshape_1"].params["shape"] == ["channels", 1]
    assert (nodes["input_1"].params["field"], nodes["output_1"].params["name"]) == ("width", "width"), "mere text"
    assert made.main_network.nodes["use_1"].params["values"] == {"min_width": 3, "channels": 8}
    assert made.networks["inner"] == parametrised().networks["inner"], "its width is another"
    assert apply(made, renaming("width", "channels")) == parametrised()


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (renaming("min_width"), "already has a parameter min_width"),
        (renaming("max"), "not the name of a function"),
        (renaming("size"), "not the name of a function"),
        (renaming("Not a name"), "lowercase"),
        (renaming(7), "lowercase"),
        (renaming("x", "nothing"), "no parameter 'nothing'"),
        (renaming("x", network="nothing"), "no network 'nothing'"),
    ],
)
def test_a_name_that_a_parameter_cannot_have_is_refused(edit: dict[str, Any], said: str) -> None:
    with pytest.raises(EditError, match=said):
        apply(parametrised(), edit)
