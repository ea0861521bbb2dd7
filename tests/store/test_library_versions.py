"""What is replaced in the library is kept: it is listed, taken again, put back, and exchanged in a project."""

from __future__ import annotations

import pytest

from netloom.document import Network, Project, dumps, loads
from netloom.document.network_bundle import BundleError, exchange, extract, insert
from netloom.store import NotFoundError, Store
from netloom.store.library import KEPT
from netloom.validation import analyse
from tests.networks import chain
from tests.store.test_library import bundle


def units(found: Project) -> object:
    return found.main_network.nodes["linear_1"].params["units"]


def test_versions_are_kept_listed_and_put_back(store: Store) -> None:
    made = [store.publish(bundle("tower", size), {"size": size}, replace=True) for size in (3, 5, 9)]
    assert [(row.number, row.summary, row.updated_at) for row in store.earlier("tower")] == [
        (row.number, row.summary, row.updated_at) for row in reversed(made[:2])
    ]
    assert [units(store.bundle("tower", number)) for number in (None, 2, 1)] == [9, 5, 3]
    again = store.restore_published("tower", 1)
    assert (again.number, again.summary) == (4, {"size": 3})
    assert dumps(store.bundle("tower")) == dumps(bundle("tower", 3))
    assert [row.number for row in store.earlier("tower")] == [3, 2, 1]
    with pytest.raises(NotFoundError, match="no version 7 of tower"):
        store.bundle("tower", 7)
    with pytest.raises(NotFoundError, match="no version 1 of gone"):
        store.restore_published("gone", 1)


def test_versions_follow_the_name_and_go_with_it(store: Store) -> None:
    for size in (3, 5):
        store.publish(bundle("tower", size), {}, replace=True)
    store.rename_published("tower", "spire")
    assert store.bundle("spire", 1) == bundle("spire", 3)
    assert store.earlier("tower") == []
    store.delete_published("spire")
    store.publish(bundle("spire", 7), {})
    assert store.earlier("spire") == []


def test_the_oldest_versions_go(store: Store) -> None:
    document = bundle("tower")
    for _ in range(KEPT + 3):
        store.publish(document, {}, replace=True)
    numbers = [row.number for row in store.earlier("tower")]
    assert numbers == list(range(KEPT + 2, 2, -1))


def network(*names: str, uses: str = "") -> Network:
    nodes = [("Input", {"kind": "vector", "shape": [4]}), *((name, {}) for name in names)]
    if uses:
        nodes.append(("Subnetwork", {"network": uses}))
    return chain(*nodes).main_network


def test_a_newer_version_takes_the_place_of_the_one_that_a_project_has() -> None:
    old = Project(name="tower", networks={"tower": network("ReLU", uses="core"), "core": network("Tanh")}, main="tower")
    new = Project(
        name="tower", networks={"tower": network("GELU", uses="kernel"), "kernel": network("ELU")}, main="tower"
    )
    mine = Project(name="Mine", networks={"main": network(uses="tower"), "tower": network("SiLU")})
    taken, names = insert(mine, old)
    assert names["tower"] == "tower_2"  # the project has another one of that name
    used = taken.with_network("main", network(uses="tower_2"))
    made = exchange(used, old, new)
    assert set(made.networks) == {"main", "tower", "tower_2", "kernel"}
    assert made.networks["tower"] == mine.networks["tower"]
    assert [node.type for node in made.networks["tower_2"].nodes.values()] == ["Input", "GELU", "Subnetwork", "Output"]
    assert made.uses("main") == ["tower_2"]
    assert made.uses("tower_2") == ["kernel"]
    assert not [issue for issue in analyse(made).errors if issue.code != "nothing_to_learn"]
    assert loads(dumps(made)) == made
    assert extract(exchange(made, new, old), "tower_2").networks.keys() == {"tower_2", "core"}
    elsewhere = used.with_network("tower", network(uses="core"))
    assert "core" in exchange(elsewhere, old, new).networks  # another network stands on it
    with pytest.raises(BundleError, match="changed in this project"):
        exchange(used.with_network("tower_2", network("ReLU")), old, new)
