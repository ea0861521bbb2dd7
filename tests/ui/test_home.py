"""The Home page: the first cards, all of them, and the filters of templates."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from netloom.templates import Architecture, Template, architectures, templates
from netloom.ui.home.filters import SIZES, GalleryFilters

ROOT = Path(__file__).parents[2]


@pytest.fixture
def app(home: Path) -> AppTest:
    st.cache_resource.clear()
    st.cache_data.clear()
    opened = AppTest.from_file(str(ROOT / "pages" / "home.py"), default_timeout=60).run()
    assert not opened.exception
    return opened


def cards(app: AppTest) -> int:
    return sum(button.label == "Use template" for button in app.button)


def test_home_shows_a_few_cards_then_all_or_those_that_match(app: AppTest) -> None:
    assert cards(app) == 8 + 4
    app.text_input(key="search").set_value("uci DIGITS").run()
    matching = [item for item in templates().values() if item.project.data.dataset == "digits"]
    assert cards(app) == len(matching) > 2
    app.text_input(key="search").set_value("no such network").run()
    assert cards(app) == 0
    app.text_input(key="search").set_value("").run()
    next(button for button in app.button if button.label.endswith("templates")).click().run()
    assert not app.exception
    assert cards(app) == len(templates()) + 4


def test_sizes_divide_all_networks_and_tasks_exclude_architectures_without_data() -> None:
    items: list[Template | Architecture] = [*templates().values(), *architectures().values()]
    by_size = [item.name for size in SIZES for item in items if GalleryFilters(size=size).accepts(item)]
    assert sorted(by_size) == sorted(item.name for item in items)
    assert not [item for item in architectures().values() if GalleryFilters(task="Classification").accepts(item)]
    regression = [item.name for item in items if GalleryFilters(task="Regression").accepts(item)]
    assert regression
    assert all(templates()[name].project.training.objective == "regression" for name in regression)
