"""Responses that a run generates, and policies of runs without intents."""

from __future__ import annotations

from pathlib import Path

import pytest

from netloom.chat import (
    Dialogue,
    Entity,
    Policy,
    State,
    Understanding,
    dumps,
    dumps_scripts,
    is_sentiment,
    loads,
    policy_problems,
    read_scripts,
    run_script,
    script_of,
    starting_policy,
)
from netloom.chat.policy import Fallback, Generation, IntentPolicy, Slot
from netloom.chat.policy_problems import generation_problems, problems
from netloom.core.errors import UsageError
from netloom.data.schema import Schema, TargetSpec
from netloom.store import open_store

INTENTS = {"weather": IntentPolicy(generate=Generation(run="a")), "affirm": IntentPolicy(responses=("Good.",))}


def understood(message: str, intent: str = "weather", confidence: float = 0.9) -> Understanding:
    return Understanding(message, ((intent, confidence), ("other", 0.05)))


def test_messages_of_a_run_without_intents_have_one_answer_and_fill_slots() -> None:
    place = Slot(name="city", question="Where?", entities=("place",))
    policy = Policy(intents={"message": IntentPolicy(responses=("To {city}.",), slots=(place,))})
    assert not list(problems(policy, ("message",), ("place",)))
    dialogue = Dialogue(policy)
    first = dialogue.respond(Understanding("book", ()))
    second = dialogue.respond(Understanding("rome", (), ("rome",), (Entity("place", "rome", 0, 0),)))
    assert [turn.event for turn in (first, second)] == ["ask_slot", "reply"]
    assert (second.response, second.intent, second.confidence) == ("To rome.", "", None)
    [script] = read_scripts(dumps_scripts([script_of("a", dialogue.turns, {})]).encode(), "a.csv")
    assert [turn.intent for turn in script.turns] == ["-", "-"]


def test_a_run_generates_the_response_of_an_intent_and_of_the_fallback() -> None:
    fallback = Fallback(generate=Generation(run="b"))
    policy = loads(dumps(Policy(intents=INTENTS, fallback=fallback)))
    asked: list[tuple[str, str]] = []

    def write(generation: Generation, message: str) -> str:
        asked.append((generation.run, message))
        return f"{generation.run} on {message}"

    dialogue = Dialogue(policy, write=write)
    messages = [understood("rain?"), understood("hm", "weather", 0.2), understood("good", "affirm")]
    turns = [dialogue.respond(message) for message in messages]
    assert [turn.response for turn in turns] == ["a on rain?", "b on hm", "Good."]
    assert [turn.generated for turn in turns] == [True, True, False]
    assert asked == [("a", "rain?"), ("b", "hm")]
    [script] = read_scripts(dumps_scripts([script_of("a", turns, {})]).encode(), "a.csv")
    result = run_script(script, policy, lambda texts: messages, write)
    assert result.passed
    changed = run_script(script, policy, lambda texts: messages, lambda generation, message: "other")
    assert [bool(failures) for _, failures in changed.turns] == [True, True, False]


def test_a_response_that_cannot_be_generated_leaves_the_dialogue_as_it_was() -> None:
    policy, state = Policy(intents=INTENTS), State(intent="affirm", failures=1)

    def write(generation: Generation, message: str) -> str:
        raise UsageError("There is no run 'a'.")

    for given, reason in ((write, "no run 'a'"), (None, "none can be generated here")):
        with pytest.raises(UsageError, match=reason):
            Dialogue(policy, state, given).respond(understood("rain?"))
    assert state == State(intent="affirm", failures=1)


def test_problems_of_generated_responses_name_their_place() -> None:
    intents = {"weather": IntentPolicy(responses=("Fine.",), generate=Generation(run="a"))}
    policy = Policy(intents=intents, fallback=Fallback(generate=Generation(run="b")))
    [both] = problems(policy, ("weather",), ())
    assert str(both) == "intents.weather.responses: a run generates the answer; remove the responses, or generate."
    found = list(map(str, generation_problems(policy, {"a": "", "b": "There is no run 'b'."}.__getitem__)))
    assert found == ["fallback.generate: there is no run 'b'."]


def test_a_run_without_intents_has_no_fallback(tmp_path: Path) -> None:
    schema = Schema((), TargetSpec("tags", classes=("O", "B-place")), 1)
    policy = starting_policy(schema)
    assert policy_problems(policy, schema, open_store(tmp_path)) == []
    fallback = Fallback(generate=Generation(run="a"))
    found = policy_problems(policy.model_copy(update={"fallback": fallback}), schema, open_store(tmp_path))
    assert "fallback.generate: this run does not predict intents" in str(found[0])


@pytest.mark.parametrize(
    ("name", "classes", "expected"),
    [
        ("label", ("negative", "positive"), True),
        ("label", ("Very_Negative", "neutral", "POS"), True),
        ("sentiment", ("against", "for"), True),
        ("intent", ("positive", "weather"), False),
    ],
)
def test_classes_that_are_sentiments(name: str, classes: tuple[str, ...], expected: bool) -> None:
    schema = Schema((), TargetSpec("class", name, classes), 1)
    assert is_sentiment(schema) is expected
    assert ("Your message is" in starting_policy(schema).intents[classes[0]].responses[0]) is expected
