"""Jobs for the chat of a run: messages are understood, thresholds are measured, and dialogues are played as tests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from netloom.chat import (
    ScriptResult,
    ThresholdLimits,
    ThresholdReport,
    Understanding,
    Writers,
    checked_policy,
    dialogue_row,
    propose_thresholds,
    read_scripts,
    run_script,
    understand,
    writer_id,
)
from netloom.jobs.loaded_runs import RunWeights
from netloom.jobs.request import Context, Request
from netloom.jobs.requests.predictions import generate_with_previews
from netloom.runs.prediction.sampling import Sampling
from netloom.runs.prediction.text_generation import GeneratedText


@dataclass(frozen=True)
class Understand(Request[list[Understanding]], kind="understand"):
    """What a run reads from messages."""

    weights: RunWeights
    messages: tuple[str, ...]

    def compute(self, context: Context) -> list[Understanding]:
        return understand(context.run(self.weights), self.messages)


@dataclass(frozen=True)
class WriteResponse(Request[GeneratedText], kind="write_response"):
    """The response to a message after earlier ones that a run generates; previews are the text so far."""

    weights: RunWeights
    message: str
    earlier: tuple[tuple[str, str], ...]
    sampling: Sampling
    length: int

    def compute(self, context: Context) -> GeneratedText:
        trained = context.run(self.weights)
        row = dialogue_row(trained, self.message, self.earlier)
        return generate_with_previews(context, trained, row, self.sampling, self.length)


@dataclass(frozen=True)
class ProposeThresholds(Request[ThresholdReport], kind="propose_thresholds", lane="long"):
    """Thresholds of a policy from the validation messages of a run, as `propose_thresholds`."""

    weights: RunWeights
    out_of_scope: tuple[str, ...]
    limits: ThresholdLimits
    now: tuple[float, float]

    def compute(self, context: Context) -> ThresholdReport:
        return propose_thresholds(context.run(self.weights), self.out_of_scope, self.limits, self.now)


@dataclass(frozen=True)
class PlayDialogues(Request[list[ScriptResult]], kind="play_dialogues", lane="long"):
    """Dialogues of a test, played against a run. `dialogues` are the content of the file `name`, and `policy` is JSON.

    Raises:
        PolicyError: the policy does not fit the run.
        UsageError: the dialogues cannot be read.
    """

    weights: RunWeights
    dialogues: str
    name: str
    policy: str

    def compute(self, context: Context) -> list[ScriptResult]:
        trained = context.run(self.weights)
        policy = checked_policy(self.policy.encode(), trained.data.schema, context.store, "The policy")
        writers = Writers(trained, lambda run: context.run(RunWeights(writer_id(context.store, run))))
        scripts = read_scripts(self.dialogues.encode(), self.name)
        results = []
        for number, script in enumerate(scripts, 1):
            results.append(run_script(script, policy, partial(understand, trained), writers.write))
            context.progress(number / len(scripts))
        return results
