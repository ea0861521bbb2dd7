"""Earlier versions in the library: listed, used, restored, and replaced in a project."""

from __future__ import annotations

import pytest

from netloom.document import Network, Project, dumps, loads
from netloom.document.network_bundle import BundleError, exchange, extract, insert
from netloom.store import NotFoundError, Store
from netloom.store.library import MAX_VERSIONS
from netloom.validation import analyze
from tests.networks import chain
from tests.store.test_library import bundle


def linear_units(project: Project) -> object:
    return project.main_network.nodes["linear_1"].params["units"]


def test_earlier_versions_are_listed_and_restored(store: Store) -> None:
    published = [store.publish(bundle("tower", size), {"size": size}, replace=True) for size in (3, 5, 9)]
    assert [(row.number, row.summary, row.updated_at) for row in store.earlier("tower")] == [
        (row.number, row.summary, row.updated_at) for row in reversed(published[:2])
    ]
    assert [linear_units(store.bundle("tower", number)) for number in (None, 2, 1)] == [9, 5, 3]
    restored = store.restore_published("tower", 1)
    assert (restored.number, restored.summary) == (4, {"size": 3})
    assert dumps(store.bundle("tower")) == dumps(bundle("tower", 3))
    assert [row.number for row in store.earlier("tower")] == [3, 2, 1]
    with pytest.raises(NotFoundError, match="no version 7 of tower"):
        store.bundle("tower", 7)
    with pytest.raises(NotFoundError, match="no version 1 of gone"):
        store.restore_published("gone", 1)


def test_versions_follow_renames_and_deletion(store: Store) -> None:
    for size in (3, 5):
        store.publish(bundle("tower", size), {}, replace=True)
    store.rename_published("tower", "spire")
    assert store.bundle("spire", 1) == bundle("spire", 3)
    assert store.earlier("tower") == []
    store.delete_published("spire")
    store.publish(bundle("spire", 7), {})
    assert store.earlier("spire") == []


def test_oldest_versions_are_dropped(store: Store) -> None:
    document = bundle("tower")
    for _ in range(MAX_VERSIONS + 3):
        store.publish(document, {}, replace=True)
    numbers = [row.number for row in store.earlier("tower")]
    assert numbers == list(range(MAX_VERSIONS + 2, 2, -1))


def network(*names: str, uses: str = "") -> Network:
    nodes = [("Input", {"kind": "vector", "shape": [4]}), *((name, {}) for name in names)]
    if uses:
        nodes.append(("Subnetwork", {"network": uses}))
    return chain(*nodes).main_network


def test_exchange_replaces_the_used_version() -> None:
    old = Project(name="tower", networks={"tower": network("ReLU", uses="core"), "core": network("Tanh")}, main="tower")
    new = Project(
        name="tower", networks={"tower": network("GELU", uses="kernel"), "kernel": network("ELU")}, main="tower"
    )
    project = Project(name="Mine", networks={"main": network(uses="tower"), "tower": network("SiLU")})
    inserted, names = insert(project, old)
    assert names["tower"] == "tower_2"  # the project has another network of that name
    used = inserted.with_network("main", network(uses="tower_2"))
    exchanged = exchange(used, old, new)
    assert set(exchanged.networks) == {"main", "tower", "tower_2", "kernel"}
    assert exchanged.networks["tower"] == project.networks["tower"]
    assert [node.type for node in exchanged.networks["tower_2"].nodes.values()] == [
        "Input",
        "GELU",
        "Subnetwork",
        "Output",
    ]
    assert exchanged.uses("main") == ["tower_2"]
    assert exchanged.uses("tower_2") == ["kernel"]
    assert not [issue for issue in analyze(exchanged).errors if issue.code != "nothing_to_learn"]
    assert loads(dumps(exchanged)) == exchanged
    assert extract(exchange(exchanged, new, old), "tower_2").networks.keys() == {"tower_2", "core"}
    shared = used.with_network("tower", network(uses="core"))
    assert "core" in exchange(shared, old, new).networks  # another network uses it
    with pytest.raises(BundleError, match="changed in this project"):
        exchange(used.with_network("tower_2", network("ReLU")), old, new)
