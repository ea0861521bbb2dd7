"""Workers of the pool are real processes here, and so are their deaths."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import psutil
import pytest
import torch

from netloom.data import DataError
from netloom.explain import ExplainError
from netloom.jobs import Context, Job, JobCancelledError, JobError, Pool, kinds, processes, worker_pool
from netloom.jobs import job as job_module
from netloom.jobs.explanations import Attack, Attribution, AttributionFlow, InfluentialRows
from netloom.jobs.inspection import Answer, Inspect
from netloom.jobs.worker_pool import LaneSettings
from netloom.training.device import threads
from tests.jobs.conftest import NAMES, Runs
from tests.runs.examples import until

WAIT_S = 120.0


def answer(job: Job[Any]) -> Any:
    with job.watched():
        assert job.wait(WAIT_S)
    return job.result()


def attack(trained: Runs, rows: int = 1000) -> Attack:
    """Work of several seconds, which is not known yet. More rows than there are count as all."""
    for kept in (trained.folder(trained.weights["digits_cnn"].run_id) / "explanations").glob("*"):
        kept.unlink()
    return Attack(trained.weights["digits_cnn"], "pgd", rows)


@pytest.fixture
def own() -> Iterator[Pool]:
    """A pool of its own, with a single worker for each lane."""
    lane = LaneSettings(least=0, most=1, niceness=processes.NICENESS, wall_s=600)
    found = Pool({"interactive": lane, "long": lane})
    yield found
    found.close()


def equal(one: Any, other: Any) -> bool:
    """Whether two values are the same to the last bit."""
    if is_dataclass(one) and type(one) is type(other):
        return all(equal(getattr(one, entry.name), getattr(other, entry.name)) for entry in fields(one))
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other, equal_nan=True)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(value, other[name]) for name, value in one.items())
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other) or (one != one and other != other)


@pytest.mark.parametrize("name", NAMES)
def test_a_worker_finds_what_this_process_finds_bit_for_bit(
    trained: Runs, pool: Pool, name: str, tmp_path: Path
) -> None:
    weights, folder = trained.weights[name], trained.folder(trained.weights[name].run_id)
    requests: list[Any] = [
        Inspect(weights),
        Answer(weights, 3),
        *(Attribution(weights, method, 3) for method in ("integrated_gradients", "gradient_shap", "kernel_shap")),
        AttributionFlow(weights, 3),
        InfluentialRows(weights, 3),
    ]
    before = torch.get_num_threads()
    torch.set_num_threads(threads())
    try:
        for request in requests:
            there = answer(pool.submit(request, trained.home))
            for kept in (folder / "explanations").glob("*"):
                kept.unlink()  # or it would be read from there
            here = request.compute(Context(trained.home))
            if hasattr(here, "seconds"):
                assert there.seconds > 0
                here = replace(here, seconds=there.seconds)
            assert equal(here, there), request
    finally:
        torch.set_num_threads(before)


def test_a_preview_comes_before_the_proofs_with_the_same_attributions(trained: Runs, pool: Pool) -> None:
    job = pool.submit(Attribution(trained.weights["digits_cnn"], "integrated_gradients", 5), trained.home)
    with job.watched():
        assert job.wait_preview(WAIT_S)
        preview = job.preview
    found = answer(job)
    assert preview is not None
    assert preview.proofs.faithfulness is None
    assert found.proofs.faithfulness is not None
    assert equal(preview.attributions, found.attributions)


def test_equal_requests_are_computed_once_and_others_are_not(trained: Runs, pool: Pool) -> None:
    weights = trained.weights["breast_cancer"]
    jobs = [pool.submit(Attribution(weights, "saliency", 7), trained.home, owner) for owner in ("a", "b")]
    assert jobs[0] is jobs[1]
    assert answer(jobs[0]) is answer(jobs[1])
    assert pool.submit(Attribution(weights, "saliency", 7), trained.home) is jobs[0]
    assert pool.submit(Attribution(weights, "saliency", 8), trained.home) is not jobs[0]
    trained_on = replace(weights, written=weights.written + 1)
    assert pool.submit(Attribution(trained_on, "saliency", 7), trained.home) is not jobs[0]


def test_an_example_of_ones_own_arrives_as_it_was_entered(trained: Runs, pool: Pool) -> None:
    weights = trained.weights["digits_cnn"]
    picture = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8)
    row = {"image": picture}
    there, here = (
        answer(pool.submit(Answer(weights, row), trained.home)),
        Answer(weights, row).compute(Context(trained.home)),
    )
    assert equal(here, there)


def test_a_worker_that_is_killed_fails_its_job_with_a_sentence_and_is_replaced(trained: Runs, own: Pool) -> None:
    job = own.submit(attack(trained), trained.home)
    with job.watched():
        until(lambda: job.share > 0, WAIT_S)
        os.kill(job.worker, signal.SIGKILL)
        assert job.wait(WAIT_S)
    with pytest.raises(JobError, match=r"ended unexpectedly \(signal 9\).*try again"):
        job.result()
    other = own.submit(attack(trained, 20), trained.home)
    assert answer(other).rows == 20
    assert other.worker != job.worker


def test_a_cancelled_job_ends_soon_and_its_worker_stays(trained: Runs, own: Pool) -> None:
    job = own.submit(attack(trained), trained.home)
    with job.watched():
        until(lambda: job.share > 0, WAIT_S)
        began = time.monotonic()
        own.cancel(job)
        assert job.wait(WAIT_S)
    assert time.monotonic() - began < 1.5
    with pytest.raises(JobCancelledError):
        job.result()
    after = own.submit(attack(trained, 20), trained.home)
    answer(after)
    assert after.worker == job.worker
    again = own.submit(attack(trained), trained.home)
    assert again is not job
    own.cancel(again)


def test_a_job_ends_when_nobody_looks_any_more_and_not_before(
    trained: Runs, own: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "LINGER_S", 0.1)
    job = own.submit(attack(trained), trained.home)
    with job.watched():
        until(lambda: job.share > 0, WAIT_S)
        assert not job.wait(0.4)  # longer than anybody waits for one who does not look
    assert job.wait(10)
    assert job.state == "cancelled"


def test_who_joins_keeps_a_job_alive(trained: Runs, own: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_module, "LINGER_S", 0.1)
    job = own.submit(attack(trained), trained.home)
    with job.watched():
        with own.submit(attack(trained), trained.home).watched():
            until(lambda: job.share > 0, WAIT_S)
        assert not job.wait(0.4)
    own.cancel(job)


def test_owners_take_turns(trained: Runs, own: Pool) -> None:
    first = own.submit(attack(trained, 200), trained.home, "eager")
    eager = [own.submit(attack(trained, 201 + rows), trained.home, "eager") for rows in range(3)]
    other = own.submit(attack(trained, 300), trained.home, "other")
    expected = [first, other, *eager]
    with ExitStack() as watching:
        for job in expected:
            watching.enter_context(job.watched())
        assert all(job.wait(WAIT_S) for job in expected)
    assert sorted(expected, key=lambda job: job.started_at) == expected


def test_an_attack_does_not_delay_the_click_of_another(trained: Runs, pool: Pool) -> None:
    weights = trained.weights["breast_cancer"]
    answer(pool.submit(Answer(weights, 1), trained.home))  # the run is loaded
    long = [pool.submit(attack(trained, 990 + number), trained.home, "attacker") for number in range(8)]
    with ExitStack() as watching:
        for job in long:
            watching.enter_context(job.watched())
        until(lambda: long[0].share > 0, WAIT_S)
        click = pool.submit(Answer(weights, 2), trained.home, "other")
        answer(click)
        assert not long[-1].ended
        assert click.ended_at - click.started_at < 1
        for job in long:
            pool.cancel(job)


def test_errors_come_as_they_were_raised(trained: Runs, pool: Pool) -> None:
    weights = trained.weights["breast_cancer"]
    with pytest.raises(ExplainError, match="no method 'magic'"):
        answer(pool.submit(Attribution(weights, "magic", 3), trained.home))
    with pytest.raises(DataError):
        answer(pool.submit(Answer(weights, {"nothing": 1}), trained.home))
    with pytest.raises(JobError, match=r"Netloom failed here \(TypeError\).*errors.jsonl"):
        answer(pool.submit(Attack(weights, "fgsm", "many"), trained.home))  # type: ignore[arg-type]


def test_where_nothing_can_be_forked_a_new_process_does_the_same(
    trained: Runs, own: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "forks", lambda: False)
    request = Attribution(trained.weights["breast_cancer"], "saliency", 11)
    job = own.submit(request, trained.home)
    found = answer(job)
    assert "--alone" in psutil.Process(job.worker).cmdline()
    assert equal(found.attributions, request.compute(Context(trained.home)).attributions)


SERVER = """
import sys, time
from pathlib import Path
from netloom.jobs import RunWeights, pool
from netloom.jobs.explanations import Attack
run, written, home = sys.argv[1:]
job = pool().submit(Attack(RunWeights(run, "best", float(written)), "pgd", 1000), Path(home))
with job.watched():
    while not job.share and not job.ended:
        time.sleep(0.01)
    print(job.worker, flush=True)
    time.sleep(600)
"""


def test_workers_end_with_a_server_that_is_killed_and_the_next_one_computes_it_again(trained: Runs, own: Pool) -> None:
    weights = trained.weights["digits_cnn"]
    command = [sys.executable, "-c", SERVER, weights.run_id, repr(weights.written), str(trained.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        worker = psutil.Process(int(server.stdout.readline()))
        server.kill()
    worker.wait(10)
    assert answer(own.submit(attack(trained), trained.home)).rows > 0


def test_what_was_explained_is_known_to_the_next_server(trained: Runs, own: Pool, pool: Pool) -> None:
    request = Attribution(trained.weights["breast_cancer"], "saliency", 13)
    before = answer(pool.submit(request, trained.home))
    again = answer(own.submit(request, trained.home))
    assert again is not before
    assert again.seconds == before.seconds  # computed once, and read from the run's folder


def test_what_nobody_asks_for_any_more_is_forgotten(trained: Runs, own: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "MAX_ANSWERS_BYTES", 1)
    weights = trained.weights["breast_cancer"]
    first = own.submit(Answer(weights, 1), trained.home)
    answer(first)
    answer(own.submit(Answer(weights, 2), trained.home))
    until(lambda: own.submit(Answer(weights, 1), trained.home) is not first, 5)


def test_a_job_takes_no_longer_than_it_may(trained: Runs) -> None:
    lane = LaneSettings(least=0, most=1, niceness=processes.NICENESS, wall_s=0.2)
    pool = Pool({"interactive": lane, "long": lane})
    try:
        with pytest.raises(JobError, match="NETLOOM_JOB_HOURS"):
            answer(pool.submit(attack(trained), trained.home))
    finally:
        pool.close()


def test_all_that_is_asked_and_answered_can_be_read_in_another_process() -> None:
    seen: set[type] = set()

    def read(kind: Any) -> None:
        if is_dataclass(kind) and isinstance(kind, type) and kind not in seen:
            seen.add(kind)
            for hint in get_type_hints(kind).values():  # raises where a name is known to type checkers alone
                read(hint)
        for inner in get_args(kind):
            read(inner)

    for name, request in kinds().items():
        assert request.kind == name
        assert is_dataclass(request)
        read(request)
        read(get_type_hints(request.compute)["return"])
    assert len(seen) > len(kinds())


def test_two_kinds_of_one_name_are_refused() -> None:
    from netloom.jobs import Request

    with pytest.raises(ValueError, match="two kinds of job named 'answer'"):

        class Other(Request[int], kind="answer"):
            pass


def test_linger_is_long_enough_for_a_reload() -> None:
    assert job_module.LINGER_S >= 2


def test_prefetched_job_survives_without_watchers_unless_another_needs_its_worker(
    trained: Runs, own: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "LINGER_S", 0.2)
    own.prefetch(attack(trained), trained.home)
    assert not own.worker_pids("long"), "no worker is started for a prefetched request"

    answer(own.submit(attack(trained, 1), trained.home))
    request = attack(trained, 400)
    own.prefetch(request, trained.home)
    prefetched = own.submit(request, trained.home)  # joins the prefetched job without watching it
    until(lambda: prefetched.unwatched_s() > 3 * job_module.LINGER_S, WAIT_S)
    assert prefetched.state == "running"

    own.prefetch(attack(trained, 401), trained.home)
    answer(own.submit(attack(trained, 2), trained.home))
    assert prefetched.state == "cancelled"
    assert own.submit(attack(trained, 401), trained.home).started_at == 0, "a busy worker takes no prefetched request"
