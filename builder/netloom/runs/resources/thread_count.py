"""The number of threads of a run, by what its machine has free when it starts."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.core.processor import cores
from netloom.training.speed.device import requested_threads, threads


@dataclass(frozen=True)
class ThreadCount:
    """A number of threads and its reason in a sentence. `is_usual` is whether nothing but the number of cores and runs
    decided it."""

    threads: int
    sentence: str
    is_usual: bool = False


def choose_threads(runs: int, busy_cores: float, recorded: int | None = None) -> ThreadCount:
    """Return the number of threads of one of `runs` runs, beside processes that keep cores busy.

    `recorded` is that of a run that continues or is repeated: with another number, sums are added in another order,
    and the results would not be equal.
    """
    if requested := requested_threads():
        return ThreadCount(requested, f"Training uses {_threads(requested)}, as set by OMP_NUM_THREADS.")
    usual, free = threads(runs), threads(runs, busy_cores)
    if recorded is not None and recorded <= cores():
        sentence = f"Training uses {_threads(recorded)}, as before: with another number, rounding would differ."
        return ThreadCount(recorded, sentence, is_usual=recorded == usual)
    beside = f" and {runs - 1} other {'run uses' if runs == 2 else 'runs use'} them, too" if runs > 1 else ""
    sentence = (
        f"Training uses {_threads(free)}: of {cores()} {'core' if cores() == 1 else 'cores'}, other processes keep "
        f"{busy_cores:.1f} busy{beside}."
    )
    return ThreadCount(free, sentence, is_usual=free == usual)


def _threads(count: int) -> str:
    return f"{count} {'thread' if count == 1 else 'threads'}"
