"""`netloom chat`: a dialogue with a run that reads texts, by a response policy."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from netloom.cli.command import Command, Context, Failure, real
from netloom.cli.files import add_force_argument, existing, new_file
from netloom.cli.selection import add_run_argument, find_run, load_trained_run
from netloom.cli.text import table
from netloom.cli.unused_options import refuse_unused
from netloom.core.errors import UsageError
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.chat import Measured, Policy, Proposal, ScriptResult, ThresholdReport, Turn, Writers
    from netloom.runs import TrainedRun
    from netloom.store import Store


class Chat(Command):
    """Talks to a run, or plays recorded dialogues as tests."""

    name = "chat"
    summary = "chat with a run that classifies, tags or generates texts, or test its dialogues"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_run_argument(parser)
        parser.add_argument(
            "--policy",
            metavar="FILE",
            help="response policy as JSON or YAML, or intents.json with responses (default: the policy saved with the "
            "run; without one, answers that name the intent)",
        )
        parser.add_argument(
            "--write-policy",
            metavar="FILE",
            help="write a policy with all intents to edit, and exit: as YAML if the name ends with .yaml, else as JSON",
        )
        parser.add_argument(
            "--test",
            metavar="FILE",
            help="CSV, JSON or YAML with dialogues: the columns dialogue, message and intent, and optionally response, "
            "event and slots; the exit code is 1 if a turn differs",
        )
        parser.add_argument(
            "--thresholds",
            action="store_true",
            help="propose the thresholds of the fallback from the validation rows, and measure them on the test rows",
        )
        parser.add_argument(
            "--max-error",
            type=real,
            metavar="X",
            help="with --thresholds: maximum share of accepted messages whose intent is wrong (default: 0.05, or "
            "no limit with --min-recall)",
        )
        parser.add_argument(
            "--min-recall",
            type=real,
            metavar="X",
            help="with --thresholds: minimum share of out-of-scope messages that are not accepted",
        )
        parser.add_argument(
            "--out-of-scope",
            action="append",
            default=[],
            metavar="INTENT",
            help="an intent that is never accepted, in addition to those of the policy; repeatable",
        )
        parser.add_argument(
            "--save-policy",
            action="store_true",
            help="save the policy with the run, and exit; with --thresholds, with the proposed thresholds. This "
            "command, the page and the model server use it then",
        )
        add_force_argument(parser)

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.chat import Writers, read_scripts, run_script, unavailable_reason, understand
        from netloom.store import open_store

        if not arguments.thresholds:
            refuse_unused(self, arguments, ["max_error", "min_recall"], without="--thresholds")
        if arguments.write_policy is None:
            refuse_unused(self, arguments, ["force"], without="--write-policy")
        _check(arguments)
        store = open_store(context.home)
        run_id = find_run(store, arguments.run).id
        trained = load_trained_run(store, run_id)
        if reason := unavailable_reason(trained):
            raise Failure(reason)
        policy = _policy(trained, store, run_id, arguments)
        writers = Writers(trained, partial(load_trained_run, store))
        if arguments.thresholds:
            policy = _with_thresholds(trained, policy, arguments, context)
        if arguments.write_policy is not None or arguments.save_policy:
            _keep(trained, store, run_id, policy, arguments, context)
        elif arguments.test is not None:
            scripts = read_scripts(existing(arguments.test).read_bytes(), arguments.test)
            results = [run_script(script, policy, partial(understand, trained), writers.write) for script in scripts]
            context.answer([asdict(result) | {"passed": result.passed} for result in results], _report(results))
            return 0 if all(result.passed for result in results) else 1
        elif not arguments.thresholds:
            return _talk(trained, policy, writers, context)
        return 0


def _check(arguments: Namespace) -> None:
    """Check options that contradict each other.

    Raises:
        UsageError: one has no meaning with the others.
    """
    keeps = arguments.write_policy is not None or arguments.save_policy
    if arguments.test is not None and (keeps or arguments.thresholds):
        raise UsageError(
            "--test only plays dialogues; save or write the policy, or choose thresholds, in a separate command first."
        )


def _policy(trained: TrainedRun, store: Store, run_id: str, arguments: Namespace) -> Policy:
    """Return the policy of a file, or that of the run, with further intents out of scope.

    Raises:
        PolicyError: it is not a policy, or does not fit the run.
        UsageError: the run does not have an intent that is out of scope.
    """
    from netloom.chat import checked_policy, entity_kinds, has_intents, intent_target, run_policy, with_out_of_scope

    schema, path = trained.data.schema, arguments.policy
    policy = (
        run_policy(store, run_id, schema)
        if path is None
        else checked_policy(existing(path).read_bytes(), schema, store, path)
    )
    if not arguments.out_of_scope:
        return policy
    if not has_intents(schema):
        raise UsageError("This run does not predict intents, so none of them can be out of scope.")
    classes = intent_target(schema).classes
    for name in arguments.out_of_scope:
        if name not in classes:
            raise UsageError(
                f"The run does not have the intent {name[:60]!r}; it has {', '.join(sorted(classes)[:20])[:400]}."
            )
    names = dict.fromkeys([*policy.fallback.out_of_scope, *arguments.out_of_scope])
    return with_out_of_scope(policy, list(names), entity_kinds(schema))


def _with_thresholds(trained: TrainedRun, policy: Policy, arguments: Namespace, context: Context) -> Policy:
    """Propose thresholds, report them, and return the policy with them.

    Raises:
        Failure: no thresholds keep the limits.
    """
    from netloom.chat import MAX_ERROR, ThresholdLimits, propose_thresholds

    usual = MAX_ERROR if arguments.min_recall is None else None
    limits = ThresholdLimits(usual if arguments.max_error is None else arguments.max_error, arguments.min_recall)
    fallback = policy.fallback
    current_thresholds = (fallback.confidence, fallback.ambiguity)
    report = propose_thresholds(trained, fallback.out_of_scope, limits, current_thresholds)
    if report.proposal is None:
        raise Failure(report.reason)
    context.answer(asdict(report), _threshold_report(report, report.proposal))
    return policy.model_copy(update={"fallback": report.proposal.applied_to(fallback)})


def _threshold_report(report: ThresholdReport, proposal: Proposal) -> str:
    heads = ("thresholds", "split", "messages", "automation", "error", "in-scope accuracy", "out-of-scope recall")
    proposed = [part for part in (proposal.validation, proposal.test) if part is not None]
    rows = [
        (name, *_measured_cells(part))
        for name, parts in (("proposed", proposed), ("now", report.now))
        for part in parts
    ]
    return (
        f"confidence {proposal.confidence:g}, ambiguity {proposal.ambiguity:g}: chosen on the validation rows; the "
        f"test rows did not influence the choice\n{table(heads, rows)}"
    )


def _measured_cells(part: Measured) -> tuple[str, ...]:
    shares = (part.automation, part.error, part.in_scope_accuracy, part.out_of_scope_recall)
    return (part.split, f"{part.rows:,}", *("" if share is None else f"{share:.1%}" for share in shares))


def _keep(
    trained: TrainedRun, store: Store, run_id: str, policy: Policy, arguments: Namespace, context: Context
) -> None:
    """Write the policy to a file, or save it with the run."""
    from netloom.chat import dumps, dumps_yaml, save_policy
    from netloom.chat.scripts import YAML_SUFFIXES

    written = []
    if arguments.write_policy is not None:
        path = new_file(arguments.write_policy, force=arguments.force)
        is_yaml = path.name.lower().endswith(YAML_SUFFIXES)
        path.write_text(dumps_yaml(policy) if is_yaml else dumps(policy), encoding="utf-8")
        written.append(f"Wrote {path}.")
    if arguments.save_policy:
        save_policy(store, run_id, policy, trained.data.schema)
        written.append(f"Saved the policy with the run {run_id[:8]}.")
    if arguments.thresholds:  # whose report is the answer
        context.note("\n".join(written))
    else:
        context.answer(policy.model_dump(mode="json"), "\n".join(written))


def _talk(trained: TrainedRun, policy: Policy, writers: Writers, context: Context) -> int:
    """Answer each line of standard input."""
    from netloom.chat import Dialogue, understand

    dialogue = Dialogue(policy, write=writers.write)
    if policy.greeting and not context.json:
        print(policy.greeting, flush=True)
    for line in sys.stdin:
        if not line.strip():
            continue
        (understanding,) = understand(trained, [line.strip()])
        turn = dialogue.respond(understanding)
        context.answer(asdict(turn), _turn_text(turn))
    return 0


def _turn_text(turn: Turn) -> str:
    slots = "".join(f", {name}: {plain(text)}" for name, text in turn.slots.items())
    intent = "" if turn.confidence is None else f": {turn.intent or 'no intent'} {turn.confidence:.0%}"
    generated = " (generated)" if turn.generated else ""
    return f"{plain(turn.response)}\n  [{turn.event}{generated}{intent}{slots}]"


def _report(results: Sequence[ScriptResult]) -> str:
    lines = []
    for result in results:
        for number, (turn, failures) in enumerate(result.turns, 1):
            lines += [
                f"{plain(result.name)}, turn {number}: {plain(turn.message)!r}: {plain(text)}" for text in failures
            ]
    passed = sum(result.passed for result in results)
    return "\n".join([*lines, f"{passed} of {len(results)} dialogues passed."])
