"""Earlier versions in the library dialog."""

from __future__ import annotations

from netloom.document.network_bundle import extract
from netloom.store import Store
from netloom.ui.shell import session
from tests.networks import digits_mlp
from tests.store.test_library import bundle
from tests.ui.test_library import _fresh, open_library, store

__all__ = ["_fresh", "store"]  # fixtures


def test_library_dialog_updates_and_restores_versions(store: Store) -> None:
    store.publish(bundle("tower", 3), {})
    project = store.create_project(digits_mlp())
    app = open_library(project)
    app.button(key="use True tower").click().run()
    assert not any("A newer version is available" in item.value for item in app.caption)
    store.publish(bundle("tower", 5), {}, replace=True)
    app = app.run()
    assert any("This project has version 1. A newer version is available." in item.value for item in app.caption)
    app.button(key="library/newer tower").click().run()
    assert app.success[0].value.startswith("tower is now version 2 in this project.")
    live = session.live(project)
    assert extract(live.project, "tower") == bundle("tower", 5)
    assert not any("A newer version is available" in item.value for item in app.caption)
    live.apply({"kind": "undo"})
    assert extract(live.project, "tower") == bundle("tower", 3), "one step"
    app.button(key="library/restore tower 1").click().run()
    assert app.success[0].value == "Restored version 1 of tower as version 3."
    assert store.bundle("tower") == bundle("tower", 3)
    app.button(key="library/use tower 2").click().run()
    assert "tower_2 is now a network of this project" in app.success[0].value
    assert live.project.networks["tower_2"] == bundle("tower", 5).main_network
