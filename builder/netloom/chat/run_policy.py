"""The policy that is saved with a run. The page, the command line and the model server use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.chat.policy import MESSAGE, OPENING, Policy, PolicyError, default_policy, dumps, loads, message_answer
from netloom.chat.policy_problems import Problem, problems
from netloom.chat.understanding import entity_kinds, has_intents, intent_target, is_sentiment, policy_intents

if TYPE_CHECKING:
    from netloom.data.schema import Schema
    from netloom.store import RunArtifacts


def run_policy(artifacts: RunArtifacts, schema: Schema) -> Policy:
    """Return the policy that was saved with a run, or else one that answers each intent with its name.

    Raises:
        PolicyError: the saved policy is damaged, or does not fit the run.
    """
    text = artifacts.chat_policy()
    return starting_policy(schema) if text is None else checked_policy(text, schema, str(artifacts.chat_policy_file))


def starting_policy(schema: Schema) -> Policy:
    """Return a policy that answers each intent with its name, with a slot for each kind of entity. Without intents, it
    has one answer to all messages."""
    kinds = entity_kinds(schema)
    if not has_intents(schema):
        return Policy(intents={MESSAGE: message_answer(kinds)})
    opening = "Your message is" if is_sentiment(schema) else OPENING
    return default_policy(intent_target(schema).classes, kinds, opening=opening)


def checked_policy(text: bytes, schema: Schema, name: str) -> Policy:
    """Return the policy in a file; `name` names it in messages.

    Raises:
        PolicyError: it is not a policy, or does not fit the run.
    """
    try:
        policy = loads(text)
    except PolicyError as error:
        raise PolicyError(f"{name[-120:]}: {error}") from None
    check(policy, schema, f"{name[-120:]}: ")
    return policy


def save_policy(artifacts: RunArtifacts, policy: Policy, schema: Schema) -> None:
    """Save a policy with a run.

    Raises:
        PolicyError: it does not fit the run.
        OSError: it cannot be written.
    """
    check(policy, schema)
    artifacts.save_chat_policy(dumps(policy))


def policy_problems(policy: Policy, schema: Schema) -> list[Problem]:
    """Return the problems of a policy for a run."""
    return list(problems(policy, policy_intents(schema), entity_kinds(schema)))


def check(policy: Policy, schema: Schema, head: str = "") -> None:
    """Check whether a policy fits a run.

    Raises:
        PolicyError: it does not; the message is the first problem after `head`.
    """
    if listed := policy_problems(policy, schema):
        more = f" ({len(listed) - 1} more.)" if len(listed) > 1 else ""
        raise PolicyError(f"{head}{listed[0]}{more}")
