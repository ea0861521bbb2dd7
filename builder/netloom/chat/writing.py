"""Responses that a run generates: which runs can, and the texts themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from netloom.chat.dialogue import Answered
from netloom.chat.policy import Generation, Policy
from netloom.chat.understanding import message_row
from netloom.core.errors import UsageError
from netloom.data.schema import TARGET_TYPES
from netloom.runs.prediction.sampling import Sampling
from netloom.runs.prediction.text_generation import generate
from netloom.runs.run_lookup import LAST, find_run
from netloom.tasks.registry import task

if TYPE_CHECKING:
    from netloom.runs import TrainedRun
    from netloom.store import Store

FINISHED = "finished"


class Writers:
    """The runs that generate the responses of a policy. Each is loaded when it is first needed, or by `load_all`.

    Args:
        own: The run of the policy.
        load: Loads another run by its id, or by the beginning of its id.
    """

    def __init__(self, default_run: TrainedRun, load: Callable[[str], TrainedRun]) -> None:
        self._load = load
        self._runs = {"": default_run}

    def load_all(self, policy: Policy) -> None:
        """Load all runs of a policy. Raises what `load` raises."""
        for generation in policy.generations.values():
            self._run(generation.run)

    def write(self, generation: Generation, message: str, earlier: Sequence[Answered] = ()) -> str:
        """Return the response to a message after earlier requests with their responses, the oldest first.

        Raises:
            UsageError: the message is too long.
            DataError: the run does not generate texts.
        """
        text = ""
        trained = self._run(generation.run)
        row = dialogue_row(trained, message, earlier)
        for written in generate(trained, row, sampling_of(generation), generation.length):
            text = written.text
        return response_text(text)

    def _run(self, run: str) -> TrainedRun:
        if run not in self._runs:
            # A run that is loaded already, by the whole id or another beginning of it, is not loaded again.
            loaded = (trained for trained in self._runs.values() if _begins(trained, run))
            self._runs[run] = next(loaded, None) or self._load(run)
        return self._runs[run]


def _begins(trained: TrainedRun, prefix: str) -> bool:
    return trained.run is not None and trained.run.id.startswith(prefix.lower())


def dialogue_row(trained: TrainedRun, message: str, earlier: Sequence[Answered]) -> dict[str, Any]:
    """Return a message as a raw row, below as many of the last requests and responses as the input has room for, a
    line each.

    Raises:
        UsageError: the message is too long.
    """
    row = message_row(trained, message)
    ((name, _),) = row.items()
    field = trained.data.token_field(trained.fields[0])
    vocabulary = set(field.vocabulary)
    separator = "\n" if vocabulary.issuperset(field.tokens("\n")) else " "
    lines = [message]
    for request, response in reversed(earlier):
        longer = [request, response, *lines]
        if len(field.tokens(separator.join(longer))) > field.length:
            break
        lines = longer
    return {name: separator.join(lines)}


def sampling_of(generation: Generation) -> Sampling:
    """Return how the tokens of a response are chosen."""
    return Sampling(generation.temperature, generation.top_k, generation.top_p, generation.seed)


def response_text(text: str) -> str:
    """Return a generated text as a response, which is not empty."""
    return text.strip() or "…"


def writer_id(store: Store, run: str) -> str:
    """Return the id of a finished run that can generate responses, by its id or the beginning of it.

    Raises:
        UsageError: there is no such run, or it cannot generate responses; the message says why.
    """
    if run == LAST:
        raise UsageError("'last' means another run after each training; name the run by its id.")
    writer = find_run(store, run)
    if writer.state != FINISHED:
        raise UsageError(f"The run {writer.id[:8]} is {writer.state}; responses need a finished run.")
    if not writes_text(store, writer.id):
        raise UsageError(f"The run {writer.id[:8]} does not generate texts; choose a run of a language model.")
    return writer.id


def writing_obstacle(store: Store, run: str) -> str:
    """Return why a run cannot generate responses, as a sentence; "" if it can."""
    try:
        writer_id(store, run)
    except (UsageError, ValueError, OSError) as error:
        return str(error)
    return ""


def writes_text(store: Store, run_id: str) -> bool:
    """Return whether the network of a run generates texts, by the objective in its document."""
    target = TARGET_TYPES.get(task(str(store.artifacts(run_id).training_setting("objective"))).target or "")
    return target is not None and (target.continues_text or target.is_text)
