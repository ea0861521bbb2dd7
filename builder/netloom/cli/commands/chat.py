"""`netloom chat`: a dialogue with a run that classifies texts, by a response policy."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from netloom.cli.command import Command, Context, Failure
from netloom.cli.files import add_force_argument, existing, new_file
from netloom.cli.selection import add_run_argument, load_trained_run
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.chat import Policy, ScriptResult, Turn
    from netloom.runs import TrainedRun


class Chat(Command):
    """Talks to a run, or plays recorded dialogues as tests."""

    name = "chat"
    summary = "talk to a run that classifies texts, or test its dialogues"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_run_argument(parser)
        parser.add_argument(
            "--policy", metavar="FILE", help="response policy as JSON (default: answers that name the intent)"
        )
        parser.add_argument("--write-policy", metavar="FILE", help="write a policy with all intents to edit, and exit")
        parser.add_argument(
            "--test",
            metavar="FILE",
            help="CSV or JSON with dialogues: the columns dialogue, message and intent, and optionally response, event "
            "and slots; the exit code is 1 if a turn differs",
        )
        add_force_argument(parser)

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.chat import dumps, read_scripts, run_script, unavailable_reason, understand
        from netloom.store import open_store

        trained = load_trained_run(open_store(context.home), arguments.run)
        if reason := unavailable_reason(trained):
            raise Failure(reason)
        policy = _policy(trained, arguments.policy)
        if arguments.write_policy is not None:
            path = new_file(arguments.write_policy, force=arguments.force)
            path.write_text(dumps(policy), encoding="utf-8")
            context.answer(policy.model_dump(mode="json"), f"Wrote {path}.")
            return 0
        if arguments.test is None:
            return _talk(trained, policy, context)
        scripts = read_scripts(existing(arguments.test).read_bytes(), arguments.test)
        results = [run_script(script, policy, partial(understand, trained)) for script in scripts]
        context.answer([asdict(result) | {"passed": result.passed} for result in results], _report(results))
        return 0 if all(result.passed for result in results) else 1


def _policy(trained: TrainedRun, path: str | None) -> Policy:
    """Return the policy of a file, or one that names the intents.

    Raises:
        PolicyError: the file is not a policy, or does not fit the run.
    """
    from netloom.chat import PolicyError, default_policy, loads

    target = trained.data.schema.target
    if path is None:
        kinds = {tag.partition("-")[2] for tag in target.tags if "-" in tag}
        return default_policy(target.classes, sorted(kinds))
    policy = loads(existing(path).read_bytes())
    problems = list(policy.problems(target.classes))
    if problems:
        raise PolicyError(f"{path[:80]}: {problems[0]}" + (f" ({len(problems) - 1} more.)" if problems[1:] else ""))
    return policy


def _talk(trained: TrainedRun, policy: Policy, context: Context) -> int:
    """Answer each line of standard input."""
    from netloom.chat import Dialogue, understand

    dialogue = Dialogue(policy)
    if policy.greeting and not context.json:
        print(policy.greeting, flush=True)
    for line in sys.stdin:
        if not line.strip():
            continue
        try:
            (understanding,) = understand(trained, [line.strip()])
        except ValueError as error:
            raise Failure(str(error)) from None
        turn = dialogue.respond(understanding)
        context.answer(asdict(turn), _turn_text(turn))
    return 0


def _turn_text(turn: Turn) -> str:
    slots = "".join(f", {name}: {plain(text)}" for name, text in turn.slots.items())
    return f"{plain(turn.response)}\n  [{turn.event}: {turn.intent or 'no intent'} {turn.confidence:.0%}{slots}]"


def _report(results: Sequence[ScriptResult]) -> str:
    lines = []
    for result in results:
        for place, (turn, failures) in enumerate(result.turns, 1):
            lines += [
                f"{plain(result.name)}, turn {place}: {plain(turn.message)!r}: {plain(text)}" for text in failures
            ]
    passed = sum(result.passed for result in results)
    return "\n".join([*lines, f"{passed} of {len(results)} dialogues passed."])
