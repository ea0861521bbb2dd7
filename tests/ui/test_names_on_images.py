"""Names of classes are shown as they are beside the images on which people paint masks or draw boxes."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

HOSTILE = "![x](http://127.0.0.1/x.png) <b>"


def draw_inputs() -> None:
    """A page with both inputs, as a script that the test runs."""
    import numpy as np

    from netloom.tasks.true_labels import MaskLabel, ObjectsLabel
    from netloom.ui.components.examples.label_input import label_input
    from tests.ui.test_names_on_images import HOSTILE

    names, picture = ("background", HOSTILE), np.zeros((1, 8, 8))
    label_input(MaskLabel(names, (8, 8)), "mask", picture=picture)
    label_input(ObjectsLabel(names), "boxes", picture=picture)


def test_names_of_classes_are_not_read_as_markdown(component_manifests: None) -> None:
    app = AppTest.from_function(draw_inputs).run()
    assert not app.exception
    shown = [option.content for group in app.get("button_group") for option in group.proto.options]
    named = [content for content in shown if "127" in content]
    assert len(named) == 2
    assert not any("](" in content or "<b>" in content for content in named)
