"""Jobs of a page can be canceled and restarted; they survive a reload of the page and end with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from netloom import jobs, runs
from netloom.explain.robustness.robustness import Robustness
from netloom.jobs import Job, RunWeights
from netloom.jobs import job as job_module
from netloom.jobs.requests.explanations import Attack
from netloom.store import open_store
from netloom.templates import templates
from netloom.ui.shell import state
from tests.runs.examples import trained_here, until


@pytest.fixture(scope="module")
def attack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attack]:
    """A job that takes seconds."""
    home = tmp_path_factory.mktemp("stopping")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETLOOM_HOME", str(home))
        store, project = open_store(home), templates()["digits_cnn"].project
        short = project.model_copy(update={"training": project.training.model_copy(update={"epochs": 1})})
        with trained_here():
            run_id = runs.start(store, store.create_project(short), short)
        written = store.artifacts(run_id).weights_written_at()
        yield Attack(RunWeights(run_id, "best", written), "pgd", 1000)


def job_page(request: object) -> None:
    from typing import Any, cast

    import streamlit as st

    from netloom.ui.components.errors import guard
    from netloom.ui.shell.jobs import computed

    with guard():
        st.write(f"attacked {computed(cast('Any', request), 'Attacking …').rows} rows")


def open_page(request: Attack) -> AppTest:
    return AppTest.from_function(job_page, args=(request,), default_timeout=120)


def forget_result(request: Attack) -> None:
    """Remove the cached result of all rows; more rows than the data has count as all."""
    for cached in open_store().artifacts(request.weights.run_id).local_directory().glob("explanations/*"):
        cached.unlink()


def start_job(request: Attack) -> tuple[AppTest, threading.Thread, Job[Robustness]]:
    """A tab whose page waits for the running job, without a cached result."""
    forget_result(request)
    app = open_page(request)
    thread = threading.Thread(target=app.run)
    thread.start()
    submitted: list[Job[Robustness]] = []

    def has_started() -> bool:
        submitted[:] = [jobs.pool().submit(request, open_store().home)]
        return submitted[0].share > 0 and submitted[0].unwatched_s() == 0

    until(has_started, 60)
    return app, thread, submitted[0]


def test_canceled_job_is_reported_and_can_restart(attack: Attack) -> None:
    request = Attack(attack.weights, attack.method, 900)
    app, thread, job = start_job(request)
    jobs.pool().cancel(job)
    thread.join(60)
    assert [item.value for item in app.error] == ["This was canceled\\."]
    tab = state.JobState(cancelled=request.key(open_store().home))  # as the button leaves it
    app.session_state[state.JobState.name()] = tab
    app.run()
    assert [item.value for item in app.markdown] == ["You canceled this."]
    assert [button.label for button in app.button] == ["Restart"]
    app.button[0].click().run()
    assert app.markdown[-1].value.startswith("attacked")


def test_second_tab_shares_the_running_job(attack: Attack) -> None:
    app, thread, job = start_job(attack)
    other = open_page(attack).run()
    thread.join(60)
    assert app.markdown[-1].value == other.markdown[-1].value
    assert job.state == "done"
    assert jobs.pool().submit(attack, open_store().home) is job


def late_page(request: object) -> None:
    """Draws something else until the pool has cancelled the job, as a page does on a busy machine."""
    from typing import Any, cast

    import streamlit as st

    from netloom.ui.shell.jobs import ask

    pending = ask(cast("Any", request))
    assert pending.job.wait(60)
    assert pending.job.abandoned
    st.write(f"attacked {pending.result().rows} rows")


def test_job_that_was_cancelled_before_the_page_waited_is_computed(
    attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "LINGER_S", 0.05)
    request = Attack(attack.weights, attack.method, 930)
    forget_result(request)
    app = AppTest.from_function(late_page, args=(request,), default_timeout=120).run()
    assert not app.exception
    assert app.markdown[-1].value.startswith("attacked")


def test_progress_bar_and_button_disappear_with_the_result(attack: Attack) -> None:
    app = open_page(Attack(attack.weights, "pgd", 90)).run()
    assert app.markdown[-1].value.startswith("attacked")
    assert not app.button
    assert not app.get("progress")
