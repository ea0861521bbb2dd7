"""Concurrent explanations: no waiting for each other, and no conflicts between cache files."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event, Thread
from time import perf_counter
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import KernelShap, ShapleyValueSampling

from netloom.explain import explain
from netloom.explain.attribution.shapley.kernel_shap import fit_shapley_regression
from netloom.explain.core import cache
from netloom.explain.core.estimation.sampling import generator, kernel_coalitions, paired_permutations, standard_error
from netloom.explain.core.explanation import Remark
from netloom.explain.influence.per_sample_gradients import math_attention
from netloom.explain.robustness.attack import Attack, find_least_strength
from tests.explain.models import QUICK, trained

PATIENCE_S = 20.0


@pytest.mark.parametrize("work", ["rows", "one example"])
def test_explanations_do_not_wait_for_a_running_attack(work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attack pauses inside the network until the explanations finish; with a lock they would wait."""
    attack = Attack(trained("strided"), "pgd", 0)
    paused, resume, resumed = Event(), Event(), list[bool]()
    flat = attack.space.flat({"image": attack.trained.data.inputs["image"][:1]})
    original_output, calls = attack.output, list[int]()

    def slow(lines: torch.Tensor) -> torch.Tensor:
        calls.append(len(lines))
        # In the search on one example, the bisection starts after the first calls.
        if not paused.is_set() and len(calls) > (1 if work == "rows" else 14) and torch.is_grad_enabled():
            paused.set()
            resumed.append(resume.wait(PATIENCE_S))
        return original_output(lines)

    monkeypatch.setattr(attack, "output", slow)
    attacking = Thread(target=find_least_strength, args=(attack, flat, None))
    attacking.start()
    try:
        assert paused.wait(PATIENCE_S)
        for method in ("deep_lift", "guided_backprop", "smoothgrad", "kernel_shap", "gradient_shap"):
            started = perf_counter()
            explain(trained("strided"), method, 3, proofs=False, **QUICK.get(method, {}))
            assert perf_counter() - started < PATIENCE_S / 2
    finally:
        resume.set()
        attacking.join(PATIENCE_S)
    assert resumed == [True], "the attack waited all the time"


def test_math_attention_is_restored_after_the_last_concurrent_user() -> None:
    def sdp_backends() -> tuple[bool, bool]:
        flash: bool = torch.backends.cuda.flash_sdp_enabled()  # type: ignore[no-untyped-call]
        return flash, torch.backends.cuda.math_sdp_enabled()  # type: ignore[no-untyped-call]

    before, both, backends_inside = sdp_backends(), Barrier(2, timeout=PATIENCE_S), list[tuple[bool, bool]]()

    def use(early: bool) -> None:
        with math_attention():
            both.wait()  # with a lock, the second thread would never get here
            if early:
                return
            both_left.wait(PATIENCE_S)
            backends_inside.append(sdp_backends())

    both_left = Event()
    threads = [Thread(target=use, args=(early,)) for early in (True, False)]
    for thread in threads:
        thread.start()
    threads[0].join(PATIENCE_S)
    both_left.set()
    threads[1].join(PATIENCE_S)
    assert backends_inside == [(False, True)], "the remaining thread still uses math attention"
    assert sdp_backends() == before


def test_concurrent_cache_writes_and_pruning_do_not_conflict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_FILES", 3)

    def write(place: int) -> None:
        for number in range(25):
            cache.save(tmp_path, f"{place}-{number}", Remark("good", "x"))

    # A second process does the same in the same folder at the same time.
    code = (
        "from pathlib import Path; from netloom.explain.core import cache\n"
        "from netloom.explain.core.explanation import Remark\n"
        f"cache.MAX_FILES = 3\nfor number in range(60): cache.save(Path({str(tmp_path)!r}), f'o-{{number}}', "
        "Remark('good', 'x'))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) as other:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(8)))
        _, stderr = other.communicate(timeout=60)
    assert other.returncode == 0, stderr
    cache.save(tmp_path, "last", Remark("good", "y"))
    files = list((tmp_path / cache.FOLDER).glob("*.npz"))
    assert len(files) <= 3 + 1
    assert cache.load_as(Remark, tmp_path, "last") == Remark("good", "y")


def test_kernel_shap_and_shapley_sampling_match_captum() -> None:
    """A game of 6 players: equal coalitions and orders give equal values."""
    count, worth = 6, torch.randn(64, generator=torch.Generator().manual_seed(3)).double()

    def play(there: torch.Tensor) -> torch.Tensor:
        return worth[(there.long() * 2 ** torch.arange(count)).sum(1)]

    choices = kernel_coalitions(count, 40, generator(0, 1))
    assert set(choices.sum(1).tolist()) <= set(range(1, count)), "the full and the empty coalition are not drawn"
    actual = fit_shapley_regression(choices.double().numpy(), play(choices).numpy(), float(worth[0]), float(worth[-1]))
    method = KernelShap(play)

    def replay(_: Any, **__: Any) -> Any:
        yield torch.ones(1, count, dtype=torch.long)
        yield torch.zeros(1, count, dtype=torch.long)
        yield from torch.split(choices, 1)

    method.perturb_func = replay
    expected = method.attribute(torch.ones(1, count).double(), n_samples=42)
    np.testing.assert_allclose(actual, expected[0].numpy(), atol=2e-4)  # Captum weights both end coalitions by 1e6
    assert actual.sum() == pytest.approx(float(worth[-1] - worth[0]), abs=1e-9)
    drawn = list(paired_permutations(0, 0)(count, 5))
    assert drawn[1] == drawn[0][::-1]
    sampled = ShapleyValueSampling(play)
    sampled.permutation_generator = paired_permutations(0, 0)
    by_hand = np.zeros(count)
    for order in drawn:
        there = torch.zeros(count + 1, count)
        for index, player in enumerate(order):
            there[index + 1 :, player] = 1
        by_hand[order] += np.diff(play(there).numpy()) / len(drawn)
    captum_sampled = sampled.attribute(torch.ones(1, count).double(), n_samples=5)
    np.testing.assert_allclose(captum_sampled[0].numpy(), by_hand, atol=1e-6)


def test_standard_error_is_of_the_mean() -> None:
    random = np.random.default_rng(0)
    draws = random.normal([4.0, -6.0], [1.0, 2.0], size=(400, 9, 2))
    mean_error = np.mean([standard_error(repeats) or 0.0 for repeats in draws])
    # (1/√9 + 2/√9) / 10, times the bias of the standard deviation of 9 draws (slightly below 1).
    assert mean_error == pytest.approx(0.1 * 0.9693, rel=0.03)
    assert standard_error(draws[0][:1]) is None, "one estimate has no standard error"
