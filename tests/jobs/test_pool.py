"""The worker pool, with real worker processes that are really killed."""

from __future__ import annotations

import os
import signal
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
from netloom.explain import ExplainError, Explanation
from netloom.jobs import Context, Job, JobCancelledError, JobError, Pool, kinds
from netloom.jobs import job as job_module
from netloom.jobs.requests.explanations import Attack, Attribution, AttributionFlow, InfluentialRows
from netloom.jobs.requests.inspection import Answer, Inspect
from netloom.jobs.workers import processes, worker_pool
from netloom.jobs.workers.lanes import LaneSettings
from netloom.training.speed.device import threads
from tests.jobs.conftest import NAMES, Runs
from tests.preloaded import start_python
from tests.runs.examples import until

WAIT_S = 120.0


def job_result(job: Job[Any]) -> Any:
    with job.watched():
        assert job.wait(WAIT_S)
    return job.result()


def slow_attack(trained: Runs, rows: int = 1000) -> Attack:
    """An uncached job of several seconds. A row count beyond the split size means all rows."""
    for cached_file in (trained.folder(trained.weights["digits_cnn"].run_id) / "explanations").glob("*"):
        cached_file.unlink()
    return Attack(trained.weights["digits_cnn"], "pgd", rows)


@pytest.fixture
def single_worker_pool() -> Iterator[Pool]:
    """A separate pool with a single worker per lane."""
    lane = LaneSettings(least=0, most=1, niceness=processes.NICENESS, wall_s=600)
    new_pool = Pool({"interactive": lane, "long": lane})
    yield new_pool
    new_pool.close()


def bitwise_equal(first: Any, second: Any) -> bool:
    """Whether two values are bit-for-bit equal."""
    if is_dataclass(first) and type(first) is type(second):
        return all(bitwise_equal(getattr(first, entry.name), getattr(second, entry.name)) for entry in fields(first))
    if isinstance(first, np.ndarray):
        return (
            isinstance(second, np.ndarray)
            and first.dtype == second.dtype
            and np.array_equal(first, second, equal_nan=True)
        )
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(
            bitwise_equal(value, second[name]) for name, value in first.items()
        )
    if isinstance(first, (list, tuple)):
        return type(first) is type(second) and len(first) == len(second) and all(map(bitwise_equal, first, second))
    return bool(first == second) or (first != first and second != second)


@pytest.mark.parametrize("name", NAMES)
def test_worker_results_match_local_results_bit_for_bit(trained: Runs, pool: Pool, name: str, tmp_path: Path) -> None:
    weights, folder = trained.weights[name], trained.folder(trained.weights[name].run_id)
    requests: list[Any] = [Inspect(weights), Answer(weights, 3), Attribution(weights, "integrated_gradients", 3)]
    if name == "breast_cancer":  # the cheapest network
        requests += [Attribution(weights, method, 3) for method in ("gradient_shap", "kernel_shap")]
        requests += [AttributionFlow(weights, 3), InfluentialRows(weights, 3)]
    before = torch.get_num_threads()
    torch.set_num_threads(threads())
    try:
        for request in requests:
            remote = job_result(pool.submit(request, trained.home))
            for cached_file in (folder / "explanations").glob("*"):
                cached_file.unlink()  # otherwise the result would be read from the cache
            local = request.compute(Context(trained.home))
            if hasattr(local, "seconds"):
                assert remote.seconds > 0
                local = replace(local, seconds=remote.seconds)
            assert bitwise_equal(local, remote), request
    finally:
        torch.set_num_threads(before)


def test_preview_arrives_before_proofs_with_equal_attributions(
    trained: Runs, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    previews: list[Explanation] = []
    show = Job.show

    def recorded(job: Job[Explanation], preview: Explanation) -> None:
        previews.append(preview)  # as the answer may replace it before it is read here
        show(job, preview)

    monkeypatch.setattr(Job, "show", recorded)
    job = pool.submit(Attribution(trained.weights["digits_cnn"], "integrated_gradients", 55), trained.home)
    with job.watched():
        assert job.wait_preview(WAIT_S)
    explanation = job_result(job)
    (preview,) = previews
    assert preview.proofs.faithfulness is None
    assert explanation.proofs.faithfulness is not None
    assert bitwise_equal(preview.attributions, explanation.attributions)


def test_equal_requests_share_one_job(trained: Runs, pool: Pool) -> None:
    weights = trained.weights["breast_cancer"]
    jobs = [pool.submit(Attribution(weights, "saliency", 7), trained.home, owner) for owner in ("a", "b")]
    assert jobs[0] is jobs[1]
    assert job_result(jobs[0]) is job_result(jobs[1])
    assert pool.submit(Attribution(weights, "saliency", 7), trained.home) is jobs[0]
    assert pool.submit(Attribution(weights, "saliency", 8), trained.home) is not jobs[0]
    trained_on = replace(weights, written=weights.written + 1)
    assert pool.submit(Attribution(trained_on, "saliency", 7), trained.home) is not jobs[0]


def test_custom_example_gives_the_same_result_in_a_worker(trained: Runs, pool: Pool) -> None:
    weights = trained.weights["digits_cnn"]
    picture = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8)
    row = {"image": picture}
    remote, local = (
        job_result(pool.submit(Answer(weights, row), trained.home)),
        Answer(weights, row).compute(Context(trained.home)),
    )
    assert bitwise_equal(local, remote)


def test_killed_worker_fails_its_job_and_is_replaced(trained: Runs, single_worker_pool: Pool) -> None:
    job = single_worker_pool.submit(slow_attack(trained), trained.home)
    with job.watched():
        until(lambda: job.share > 0, WAIT_S)
        os.kill(job.worker, signal.SIGKILL)
        assert job.wait(WAIT_S)
    with pytest.raises(JobError, match=r"ended unexpectedly \(signal 9\).*try again"):
        job.result()
    other = single_worker_pool.submit(slow_attack(trained, 20), trained.home)
    assert job_result(other).rows == 20
    assert other.worker != job.worker


def test_worker_that_is_killed_while_idle_is_replaced_before_the_next_job(
    trained: Runs, single_worker_pool: Pool
) -> None:
    first = single_worker_pool.submit(slow_attack(trained, 20), trained.home)
    job_result(first)
    os.kill(first.worker, signal.SIGKILL)
    time.sleep(0.5)  # until the kernel has closed its files
    second = single_worker_pool.submit(slow_attack(trained, 21), trained.home)
    assert job_result(second).rows == 21
    assert second.worker != first.worker


def test_cancelled_job_ends_quickly_and_keeps_its_worker(trained: Runs, single_worker_pool: Pool) -> None:
    job = single_worker_pool.submit(slow_attack(trained), trained.home)
    with job.watched():
        until(lambda: job.share > 0, WAIT_S)
        began = time.monotonic()
        single_worker_pool.cancel(job)
        assert job.wait(WAIT_S)
    assert time.monotonic() - began < 1.5
    with pytest.raises(JobCancelledError):
        job.result()
    after = single_worker_pool.submit(slow_attack(trained, 20), trained.home)
    job_result(after)
    assert after.worker == job.worker
    again = single_worker_pool.submit(slow_attack(trained), trained.home)
    assert again is not job
    single_worker_pool.cancel(again)


def test_unwatched_job_is_cancelled_after_lingering(
    trained: Runs, single_worker_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "LINGER_S", 0.1)
    job = single_worker_pool.submit(slow_attack(trained), trained.home)
    with job.watched():
        until(lambda: job.share > 0, WAIT_S)
        assert not job.wait(0.4)  # longer than an unwatched job lingers
    assert job.wait(10)
    assert job.state == "cancelled"
    assert job.abandoned


def test_job_lingers_anew_for_who_joins_it(trained: Runs, single_worker_pool: Pool) -> None:
    job = single_worker_pool.submit(slow_attack(trained), trained.home)
    with job.watched():  # otherwise it is canceled if the worker needs longer to start than a job lingers
        until(lambda: job.share > 0, WAIT_S)
    time.sleep(0.1)
    before = job.unwatched_s()
    assert single_worker_pool.submit(slow_attack(trained), trained.home) is job
    assert job.unwatched_s() < before
    single_worker_pool.cancel(job)
    assert job.wait(10)
    assert not job.abandoned


def test_second_watcher_keeps_the_job_alive(
    trained: Runs, single_worker_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "LINGER_S", 0.1)
    job = single_worker_pool.submit(slow_attack(trained), trained.home)
    with job.watched():
        with single_worker_pool.submit(slow_attack(trained), trained.home).watched():
            until(lambda: job.share > 0, WAIT_S)
        assert not job.wait(0.4)
    single_worker_pool.cancel(job)


def test_pool_schedules_owners_round_robin(trained: Runs, single_worker_pool: Pool) -> None:
    first = single_worker_pool.submit(slow_attack(trained, 100), trained.home, "eager")  # runs until all have come
    eager_jobs = [single_worker_pool.submit(slow_attack(trained, 1 + rows), trained.home, "eager") for rows in range(3)]
    other = single_worker_pool.submit(slow_attack(trained, 4), trained.home, "other")
    expected = [first, other, *eager_jobs]
    with ExitStack() as watching:
        for job in expected:
            watching.enter_context(job.watched())
        assert all(job.wait(WAIT_S) for job in expected)
    assert sorted(expected, key=lambda job: job.started_at) == expected


def test_long_jobs_do_not_delay_interactive_jobs(trained: Runs, pool: Pool) -> None:
    weights = trained.weights["breast_cancer"]
    job_result(pool.submit(Answer(weights, 1), trained.home))  # the run is loaded
    long_jobs = [pool.submit(slow_attack(trained, 990 + number), trained.home, "attacker") for number in range(8)]
    with ExitStack() as watching:
        for job in long_jobs:
            watching.enter_context(job.watched())
        until(lambda: long_jobs[0].share > 0, WAIT_S)
        click = pool.submit(Answer(weights, 2), trained.home, "other")
        job_result(click)
        assert not long_jobs[-1].ended
        assert click.ended_at - click.started_at < 1
        for job in long_jobs:
            pool.cancel(job)


def test_worker_errors_keep_their_type_and_message(trained: Runs, pool: Pool) -> None:
    weights = trained.weights["breast_cancer"]
    with pytest.raises(ExplainError, match="no method 'magic'"):
        job_result(pool.submit(Attribution(weights, "magic", 3), trained.home))
    with pytest.raises(DataError):
        job_result(pool.submit(Answer(weights, {"nothing": 1}), trained.home))
    with pytest.raises(JobError, match=r"Netloom failed here \(TypeError\).*errors.jsonl"):
        job_result(pool.submit(Attack(weights, "fgsm", "many"), trained.home))  # type: ignore[arg-type]


@pytest.mark.long
def test_spawned_process_gives_the_same_result_without_fork(
    trained: Runs, single_worker_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "forks", lambda: False)
    request = Attribution(trained.weights["breast_cancer"], "saliency", 11)
    job = single_worker_pool.submit(request, trained.home)
    explanation = job_result(job)
    assert "--alone" in psutil.Process(job.worker).cmdline()
    assert bitwise_equal(explanation.attributions, request.compute(Context(trained.home)).attributions)


SERVER = """
import sys, time
from pathlib import Path
from netloom.jobs import RunWeights, pool
from netloom.jobs.requests.explanations import Attack
run, written, home = sys.argv[1:]
job = pool().submit(Attack(RunWeights(run, "best", float(written)), "pgd", 100), Path(home))
with job.watched():
    while not job.share and not job.ended:
        time.sleep(0.01)
    print(job.worker, flush=True)
    time.sleep(600)
"""


def test_workers_exit_when_their_server_is_killed(trained: Runs, single_worker_pool: Pool, tmp_path: Path) -> None:
    request, output = slow_attack(trained, 100), tmp_path / "worker.txt"
    weights = request.weights
    server = start_python("-c", SERVER, weights.run_id, repr(weights.written), trained.home, output=output)
    until(lambda: output.exists() and output.read_text().endswith("\n"), WAIT_S)
    worker = psutil.Process(int(output.read_text()))
    server.kill()
    server.wait()
    worker.wait(10)
    assert job_result(single_worker_pool.submit(slow_attack(trained, 5), trained.home)).rows == 5


def test_second_pool_reads_the_cached_explanation(trained: Runs, single_worker_pool: Pool, pool: Pool) -> None:
    request = Attribution(trained.weights["breast_cancer"], "saliency", 13)
    computed = job_result(pool.submit(request, trained.home))
    cached = job_result(single_worker_pool.submit(request, trained.home))
    assert cached is not computed
    assert cached.seconds == computed.seconds  # computed once, and read from the run's folder


def test_old_answers_are_evicted_beyond_the_size_limit(
    trained: Runs, single_worker_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "MAX_ANSWERS_BYTES", 1)
    weights = trained.weights["breast_cancer"]
    first = single_worker_pool.submit(Answer(weights, 1), trained.home)
    job_result(first)
    job_result(single_worker_pool.submit(Answer(weights, 2), trained.home))
    until(lambda: single_worker_pool.submit(Answer(weights, 1), trained.home) is not first, 5)


def test_job_beyond_the_time_limit_fails(trained: Runs) -> None:
    lane = LaneSettings(least=0, most=1, niceness=processes.NICENESS, wall_s=0.2)
    pool = Pool({"interactive": lane, "long": lane})
    try:
        with pytest.raises(JobError, match="NETLOOM_JOB_HOURS"):
            job_result(pool.submit(slow_attack(trained), trained.home))
    finally:
        pool.close()


def test_request_and_result_type_hints_resolve() -> None:
    checked: set[type] = set()

    def read(kind: Any) -> None:
        if is_dataclass(kind) and isinstance(kind, type) and kind not in checked:
            checked.add(kind)
            for hint in get_type_hints(kind).values():  # raises if a name is only imported for type checkers
                read(hint)
        for inner in get_args(kind):
            read(inner)

    for name, request in kinds().items():
        assert request.kind == name
        assert is_dataclass(request)
        read(request)
        if not request.handed_over:  # the answer itself is sent
            read(get_type_hints(request.compute)["return"])
    assert len(checked) > len(kinds())


def test_duplicate_job_kind_is_refused() -> None:
    from netloom.jobs import Request

    with pytest.raises(ValueError, match="two kinds of job named 'answer'"):

        class Other(Request[int], kind="answer"):
            pass


def test_linger_time_covers_a_page_reload() -> None:
    assert job_module.LINGER_S >= 2


def test_prefetched_job_survives_without_watchers_unless_another_needs_its_worker(
    trained: Runs, single_worker_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "LINGER_S", 0.2)
    single_worker_pool.prefetch(slow_attack(trained), trained.home)
    assert not single_worker_pool.worker_pids("long"), "no worker is started for a prefetched request"

    job_result(single_worker_pool.submit(slow_attack(trained, 1), trained.home))
    request = slow_attack(trained, 400)
    single_worker_pool.prefetch(request, trained.home)
    prefetched = single_worker_pool.submit(request, trained.home)  # joins the prefetched job without watching it
    until(lambda: prefetched.unwatched_s() > 3 * job_module.LINGER_S, WAIT_S)
    assert not prefetched.ended

    single_worker_pool.prefetch(slow_attack(trained, 401), trained.home)
    job_result(single_worker_pool.submit(slow_attack(trained, 2), trained.home))
    assert prefetched.state == "cancelled"
    assert single_worker_pool.submit(slow_attack(trained, 401), trained.home).started_at == 0, (
        "a busy worker takes no prefetched request"
    )
