"""The Home page: the first cards, all of them, and the filters of templates."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from netloom.document import blank
from netloom.store import Store
from netloom.templates import Architecture, Template, architectures, templates
from netloom.templates.template_search import SIZES, TemplateSearch
from netloom.ui.home.page import RECENT_LISTED
from netloom.ui.shell import tour

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


def test_home_finds_older_projects_by_name(app: AppTest, home: Path) -> None:
    store = Store(home)
    for number in range(RECENT_LISTED + 1):
        store.create_project(blank(f"Étude {number}"))

    def names() -> list[str]:
        return [markdown.value for markdown in app.markdown if markdown.value.startswith("**Étude")]

    app.run()
    assert "**Étude 0**" not in names()
    app.text_input(key="project search").set_value("étude 0").run()
    assert names() == ["**Étude 0**"]
    app.text_input(key="project search").set_value("Nocturne").run()
    assert names() == []
    assert "No project has this in its name." in [caption.value for caption in app.caption]


def test_sizes_divide_all_networks_and_tasks_exclude_architectures_without_data() -> None:
    items: list[Template | Architecture] = [*templates().values(), *architectures().values()]
    by_size = [item.name for size in SIZES for item in items if TemplateSearch(size=size).accepts(item)]
    assert sorted(by_size) == sorted(item.name for item in items)
    assert not [item for item in architectures().values() if TemplateSearch(task="classification").accepts(item)]
    regression = [item.name for item in items if TemplateSearch(task="regression").accepts(item)]
    assert regression
    assert all(templates()[name].project.training.objective == "regression" for name in regression)


def test_tour_is_offered_without_projects_and_can_be_dismissed_and_opened_again(app: AppTest, home: Path) -> None:
    app.button(key="tour end").click().run()
    assert not [button for button in app.button if button.key == "tour next"]
    app.button(key="tour start").click().run()
    app.button(key="tour next").click().run()
    assert [row.name for row in Store(home).list_projects()] == ["Digits with a CNN"]
    later = AppTest.from_file(str(ROOT / "pages" / "home.py"), default_timeout=60).run()
    assert later.button(key="tour start").label == "Tour"


@pytest.mark.parametrize(
    ("page", "run_state", "hint"),
    [
        ("design", "", tour.DESIGN),
        ("train", "", tour.READY),
        ("train", "queued", tour.RUNNING),
        ("train", "failed", tour.READY),
        ("train", "finished", tour.TRAINED),
        ("explain", "finished", tour.EXPLAINED),
        ("explain", "", None),
        ("data", "finished", None),
    ],
)
def test_tour_leads_from_the_network_over_its_curve_to_an_explanation(
    page: str, run_state: str, hint: tour.Hint | None
) -> None:
    assert tour.hint_of(page, run_state) is hint
