"""The parts of the server that need no network."""

from __future__ import annotations

import asyncio
import json
import math
import resource
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_ind

from netloom.serving.access_log import AccessLog
from netloom.serving.errors import RequestError
from netloom.serving.keys import KeyRing
from netloom.serving.metrics import Metrics
from netloom.serving.models.answer_cache import AnswerCache, CachedAnswer
from netloom.serving.models.batching import Batcher
from netloom.serving.models.comparison import Agreement, Traffic, difference_of_means
from netloom.serving.models.served_model import ServedModel
from netloom.serving.rate_limit import RateLimit
from netloom.serving.server import bind
from netloom.serving.server_settings import BatchSettings
from netloom.tasks import task
from netloom.training.uncertainty import difference_of_shares, share_interval
from tests.serving.asgi import run_apart
from tests.serving.conftest import Runs


def test_rows_of_waiting_requests_become_one_batch(runs: Runs) -> None:
    model, metrics = ServedModel("digits", runs.trained), Metrics()

    async def ask() -> list[list[Any]]:
        batcher = Batcher(model, BatchSettings(max_rows=16), metrics)
        asked = [batcher.predict([runs.row(n)]) for n in range(40)]
        bad = batcher.predict([{"image": 1}])
        return await asyncio.gather(*asked, bad)

    *answers, refused = run_apart(ask())
    for number, outcomes in enumerate(answers):
        assert outcomes[0]["prediction"] == runs.answer(number)["prediction"]
    assert isinstance(refused[0], RequestError)
    assert 'netloom_batch_rows_count{model="digits"} 3' in metrics.text({})  # 16, 16 and 9 rows


def test_a_full_queue_refuses_with_a_time_to_return(runs: Runs) -> None:
    model = ServedModel("digits", runs.trained)

    async def ask() -> None:
        batcher = Batcher(model, BatchSettings(max_rows=4, max_queue=10), Metrics())
        waiting = [asyncio.create_task(batcher.predict([runs.row(0)] * 5)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(RequestError, match="queue") as refusal:
            await batcher.predict([runs.row(0)])
        assert (refusal.value.status, refusal.value.retry_after_s) == (429, 1.0)
        assert [len(answers) for answers in await asyncio.gather(*waiting)] == [5, 5]
        await batcher.finish()

    run_apart(ask())


def test_rows_of_a_client_that_left_are_not_computed(runs: Runs) -> None:
    model = ServedModel("digits", runs.trained)

    async def ask() -> None:
        batcher = Batcher(model, BatchSettings(max_wait_s=0.05), Metrics())
        gone = asyncio.create_task(batcher.predict([runs.row(0)] * 3))
        await asyncio.sleep(0)
        assert batcher.queued_rows == 3
        gone.cancel()
        await asyncio.sleep(0)
        assert batcher.queued_rows == 0
        assert len(await batcher.predict([runs.row(0)])) == 1

    run_apart(ask())


def test_a_full_batch_does_not_wait_for_more_rows(runs: Runs) -> None:
    model = ServedModel("digits", runs.trained)

    async def ask() -> None:
        batcher = Batcher(model, BatchSettings(max_rows=4, max_wait_s=60.0), Metrics())
        async with asyncio.timeout(20):
            answers = await asyncio.gather(*(batcher.predict([runs.row(n)]) for n in range(4)))
        assert [len(outcomes) for outcomes in answers] == [1] * 4

    run_apart(ask())


def test_rows_of_arrays_are_removed_from_the_queue(runs: Runs) -> None:
    model = ServedModel("digits", runs.trained)

    async def ask() -> None:
        batcher = Batcher(model, BatchSettings(max_wait_s=0.05), Metrics())
        stays, gone = (asyncio.create_task(batcher.predict([{"image": np.zeros((1, 8, 8))}])) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert batcher.queued_rows == 1
        assert len(await stays) == 1

    run_apart(ask())


@pytest.mark.parametrize("is_exact", [True, False])
def test_batches_of_all_sizes_are_within_the_measured_bound(runs: Runs, is_exact: bool) -> None:
    model = ServedModel("digits", runs.trained, max_rows=16, is_exact=is_exact)
    rows = [runs.row(n) for n in range(40)]
    single = np.array([list(runs.answer(n)["probabilities"].values()) for n in range(40)])
    for count in (1, 2, 3, 5, 16, 17, 40):
        outcomes: list[Any] = model.predict(rows[:count])
        answers = [list(outcome["probabilities"].values()) for outcome in outcomes]
        difference = np.abs(np.array(answers) - single[:count]).max()
        assert difference == 0 if is_exact or count == 1 else difference <= 1e-5
    assert (model.difference == 0) == is_exact


def test_the_cache_stays_within_its_bytes() -> None:
    cache = AnswerCache(5_000)
    keys = [cache.key("1", "predict", "", str(number).encode()) for number in range(100)]
    for key in keys:
        cache.put(key, CachedAnswer(b"x" * 600, (b"y" * 100,)))
        assert cache.size <= 5_000
    assert cache.get(keys[-1]) == CachedAnswer(b"x" * 600, (b"y" * 100,))
    assert cache.get(keys[0]) is None
    cache.put(keys[0], CachedAnswer(b"x" * 6_000))
    assert cache.get(keys[0]) is None
    assert cache.key("2", "predict", "", b"1") != cache.key("1", "predict", "", b"1")


def test_a_bucket_fills_at_its_rate() -> None:
    now = [0.0]
    limit = RateLimit(2.0, 3, lambda: now[0])
    for _ in range(3):
        limit.take("a")
    with pytest.raises(RequestError) as refusal:
        limit.take("a")
    assert refusal.value.retry_after_s == pytest.approx(0.5)
    limit.take("b")
    now[0] = 0.5
    limit.take("a")
    with pytest.raises(RequestError):
        limit.take("a")


@given(st.integers(1, 400).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_the_interval_of_a_share_is_that_of_scipy(counts: tuple[int, int]) -> None:
    expected = binomtest(*counts).proportion_ci(0.95, "wilson")
    assert share_interval(*counts) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_the_difference_of_shares_is_newcombes() -> None:
    # Newcombe 1998, table II, (a): 56/70 and 48/80, the hybrid score interval without continuity correction
    value = difference_of_shares((48, 80), (56, 70))
    assert value["difference"] == pytest.approx(0.2)
    assert value["interval"] == pytest.approx([0.0524, 0.3339], abs=5e-5)


@pytest.mark.parametrize("offset", [0.0, 1e9])
def test_the_difference_of_means_is_welchs(offset: float) -> None:
    values = [1.0, 3.0, 2.5, 4.0], [7.0, 3.5, 9.0]
    sides = (Traffic("a"), Traffic("b"))
    for side, outcomes in zip(sides, values, strict=True):
        for outcome in outcomes:
            side.add_outcome(outcome + offset)
    expected = ttest_ind(values[1], values[0], equal_var=False).confidence_interval()
    assert difference_of_means(*sides)["interval"] == pytest.approx([expected.low, expected.high], rel=1e-5)


def test_a_few_right_answers_are_not_significantly_better() -> None:
    current, canary = Traffic("current"), Traffic("canary")
    for number in range(1_000):
        current.add_outcome(number % 20 != 0)
    for _ in range(3):
        canary.add_outcome(1)
    value = difference_of_means(current, canary)
    assert value == difference_of_shares((950, 1_000), (3, 3))
    assert value["is_significant"] is False


def test_equal_outcomes_have_no_interval() -> None:
    current, canary = Traffic("current"), Traffic("canary")
    for _ in range(5):
        current.add_outcome(4)
        canary.add_outcome(5)
    assert difference_of_means(current, canary) == {"difference": 1.0, "interval": None, "is_significant": False}


def test_a_shadow_that_refuses_a_row_does_not_agree() -> None:
    agreement, refusal = Agreement("shadow"), RequestError("No.")
    agreement.add([{"prediction": "a"}, {"prediction": "a"}, refusal], [{"prediction": "a"}, refusal, refusal])
    assert (agreement.rows, agreement.equal) == (2, 1)


def test_a_shadow_agrees_on_objects_whose_boxes_differ_a_little() -> None:
    first, second = ({"prediction": [{"class": "cat", "score": 0.9, "box": [0, 0, 1, side]}]} for side in (1.0, 0.98))
    agreement = Agreement("shadow", task("detection").answer_text)
    agreement.add([first, first], [second, {"prediction": []}])
    assert (agreement.rows, agreement.equal) == (2, 1)


def test_the_interval_of_a_difference_covers_it() -> None:
    generator, covered = np.random.default_rng(0), 0
    for _ in range(400):
        sides = (Traffic("a"), Traffic("b"))
        for side, mean in zip(sides, (0.0, 0.3), strict=True):
            for value in generator.normal(mean, 1.0, 60):
                side.add_outcome(float(value))
        interval = difference_of_means(*sides)["interval"]
        assert interval is not None
        covered += interval[0] <= 0.3 <= interval[1]
    assert 0.95 - 0.035 < covered / 400 < 0.95 + 0.035


@given(st.text(max_size=50))
def test_a_value_is_one_line_of_the_log(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("log") / "access.jsonl"
    access_log = AccessLog(path)
    access_log.write(path=text.encode("utf-8", "surrogateescape").decode("latin-1"))
    access_log.close()
    assert len(path.read_bytes().split(b"\n")) == 2


def test_the_log_is_renamed_when_it_is_large(tmp_path: Path) -> None:
    access_log = AccessLog(tmp_path / "access.jsonl", max_bytes=1_000)
    for number in range(50):
        access_log.write(number=number)
    access_log.close()
    kept = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(kept) == 2
    assert sum(kept) < 2_200


def test_a_line_that_a_full_disk_has_cut_does_not_spoil_the_next_one(tmp_path: Path) -> None:
    access_log = AccessLog(tmp_path / "access.jsonl")
    access_log.write(number=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (access_log.path.stat().st_size + 10, hard))
    try:
        for number in (2, 3):
            with pytest.raises(OSError, match=r"No space left|too large"):
                access_log.write(number=number)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    access_log.write(number=4)
    access_log.close()
    lines = access_log.path.read_text().splitlines()
    assert [json.loads(line)["number"] for line in (lines[0], lines[-1])] == [1, 4]
    assert [len(line) for line in lines[1:-1]] == [10]


def test_an_empty_comparison_has_no_difference() -> None:
    assert share_interval(0, 0) == (0.0, 1.0)
    assert difference_of_shares((0, 0), (1, 2))["difference"] is None
    assert difference_of_means(Traffic("a"), Traffic("b"))["difference"] is None
    difference = difference_of_shares((0, 5), (5, 5))["difference"]
    assert difference is not None
    assert not math.isnan(difference)


def test_answers_do_not_wait_for_acknowledgments(tmp_path: Path) -> None:
    """With Nagle's algorithm, the second packet of an answer waits 40 ms for the client's delayed acknowledgment."""

    async def accepted() -> int:
        listener = bind("127.0.0.1", 0, needs_key=False, keys=KeyRing(tmp_path))
        connection: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()

        class Protocol(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                connection.set_result(transport.get_extra_info("socket"))

        async with await asyncio.get_running_loop().create_server(Protocol, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            server_side = await connection
            option = server_side.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            writer.close()
        return option

    assert run_apart(accepted())
