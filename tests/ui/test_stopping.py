"""Work on a page can be cancelled, and started again; it goes on while the page is reloaded, and ends with the page."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from netloom import jobs, runs
from netloom.explain.robustness.robustness import Robustness
from netloom.jobs import Job, RunWeights
from netloom.jobs.explanations import Attack
from netloom.store import open_store
from netloom.templates import templates
from netloom.ui.shell import state
from tests.runs.examples import trained_here, until


@pytest.fixture(scope="module")
def attack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attack]:
    """Work of seconds."""
    home = tmp_path_factory.mktemp("stopping")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETLOOM_HOME", str(home))
        store, project = open_store(home), templates()["digits_cnn"].project
        short = project.model_copy(update={"training": project.training.model_copy(update={"epochs": 1})})
        with trained_here():
            run_id = runs.start(store, store.create_project(short), short)
        written = store.artifacts(run_id).weights_written_at()
        yield Attack(RunWeights(run_id, "best", written), "pgd", 1000)


def page(request: object) -> None:
    from typing import Any, cast

    import streamlit as st

    from netloom.ui.shell.errors import guard
    from netloom.ui.shell.jobs import computed

    with guard():
        st.write(f"attacked {computed(cast('Any', request), 'Attacking …').rows} rows")


def opened(request: Attack) -> AppTest:
    return AppTest.from_function(page, args=(request,), default_timeout=120)


def under_way(request: Attack) -> tuple[AppTest, threading.Thread, Job[Robustness]]:
    """A tab whose page waits for the job, which is not known yet: more rows than there are count as all."""
    for kept in open_store().artifacts(request.weights.run_id).local_directory().glob("explanations/*"):
        kept.unlink()
    app = opened(request)
    thread = threading.Thread(target=app.run)
    thread.start()
    found: list[Job[Robustness]] = []

    def begun() -> bool:
        found[:] = [jobs.pool().submit(request, open_store().home)]
        return found[0].share > 0

    until(begun, 60)
    return app, thread, found[0]


def test_what_is_cancelled_says_so_and_starts_again(attack: Attack) -> None:
    request = Attack(attack.weights, attack.method, 900)
    app, thread, job = under_way(request)
    jobs.pool().cancel(job)
    thread.join(60)
    assert [one.value for one in app.error] == ["This was cancelled\\."]
    tab = state.JobState(cancelled=request.key(open_store().home))  # as the button leaves it
    app.session_state[state.JobState.name()] = tab
    app.run()
    assert [one.value for one in app.markdown] == ["You canceled this."]
    assert [button.label for button in app.button] == ["Restart"]
    app.button[0].click().run()
    assert app.markdown[-1].value.startswith("attacked")


def test_a_second_tab_joins_and_both_get_the_answer(attack: Attack) -> None:
    app, thread, job = under_way(attack)
    other = opened(attack).run()
    thread.join(60)
    assert app.markdown[-1].value == other.markdown[-1].value
    assert job.state == "done"
    assert jobs.pool().submit(attack, open_store().home) is job


def test_the_bar_and_its_button_are_gone_when_the_answer_is_there(attack: Attack) -> None:
    app = opened(Attack(attack.weights, "pgd", 950)).run()
    assert app.markdown[-1].value.startswith("attacked")
    assert not app.button
    assert not app.get("progress")
