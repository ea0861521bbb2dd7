"""The policy that is saved with a run. The page, the command line and the model server use it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from netloom.chat.policy import (
    MESSAGE,
    OPENING,
    Generation,
    IntentPolicy,
    Policy,
    PolicyError,
    default_policy,
    dumps,
    loads,
    message_answer,
)
from netloom.chat.policy_problems import Problem, generation_problems, problems, value_problems
from netloom.chat.understanding import entity_kinds, has_intents, intent_target, is_sentiment, policy_intents
from netloom.chat.writing import writing_obstacle
from netloom.runs.prediction.text_generation import generates_text

if TYPE_CHECKING:
    from netloom.data.schema import Schema
    from netloom.store import Store


def run_policy(store: Store, run_id: str, schema: Schema) -> Policy:
    """Return the policy that was saved with a run, or else one that answers each intent with its name.

    Raises:
        PolicyError: the saved policy is damaged, or does not fit the run.
    """
    artifacts = store.artifacts(run_id)
    text = artifacts.chat.policy()
    if text is None:
        return starting_policy(schema)
    return checked_policy(text, schema, store, str(artifacts.chat.policy_file))


def starting_policy(schema: Schema) -> Policy:
    """Return a policy that answers each intent with its name, with a slot for each kind of entity. Without intents, it
    has one answer to all messages; a run that generates texts generates it."""
    if generates_text(schema):
        # A network that answers a text has learned to answer one text, and not a dialogue
        generation = Generation() if schema.target.type.continues_text else Generation(earlier_turns=0)
        return Policy(intents={MESSAGE: IntentPolicy(generate=generation)})
    kinds = entity_kinds(schema)
    if not has_intents(schema):
        return Policy(intents={MESSAGE: message_answer(kinds)})
    opening = "Your message is" if is_sentiment(schema) else OPENING
    return default_policy(intent_target(schema).classes, kinds, opening=opening)


def checked_policy(text: bytes, schema: Schema, store: Store, name: str) -> Policy:
    """Return the policy in a file; `name` names it in messages. `store` has the runs that generate responses.

    Raises:
        PolicyError: it is not a policy, or does not fit the run.
    """
    try:
        policy = loads(text)
    except PolicyError as error:
        raise PolicyError(f"{name[-120:]}: {error}") from None
    check(policy, schema, store, f"{name[-120:]}: ")
    return policy


def save_policy(store: Store, run_id: str, policy: Policy, schema: Schema) -> None:
    """Save a policy with a run.

    Raises:
        PolicyError: it does not fit the run.
        OSError: it cannot be written.
    """
    check(policy, schema, store)
    store.artifacts(run_id).chat.save_policy(dumps(policy))


def policy_problems(policy: Policy, schema: Schema, store: Store) -> list[Problem]:
    """Return the problems of a policy for a run. `store` has the runs that generate responses."""

    @cache  # many intents can have the same run
    def obstacle(run: str) -> str:
        if run:
            return writing_obstacle(store, run)
        no_text_reason = "This run does not generate texts; name a run of a language model in generate.run."
        return "" if generates_text(schema) else no_text_reason

    all_problems = [*value_problems(policy), *problems(policy, policy_intents(schema), entity_kinds(schema))]
    if policy.fallback.generate is not None and not has_intents(schema):
        all_problems.append(
            Problem("this run does not predict intents, so this is never used; remove it.", part="generate")
        )
    return [*all_problems, *generation_problems(policy, obstacle)]


def check(policy: Policy, schema: Schema, store: Store, head: str = "") -> None:
    """Check whether a policy fits a run.

    Raises:
        PolicyError: it does not; the message is the first problem after `head`.
    """
    if listed := policy_problems(policy, schema, store):
        more = f" ({len(listed) - 1} more.)" if len(listed) > 1 else ""
        raise PolicyError(f"{head}{listed[0]}{more}")
