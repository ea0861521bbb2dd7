"""Responses that a run generates, and policies of runs without intents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from netloom.chat import (
    Dialogue,
    Entity,
    Policy,
    State,
    Understanding,
    Writers,
    dialogue_row,
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
from netloom.chat.dialogue import MAX_VALUE, Answered, Write
from netloom.chat.policy import MAX_EARLIER_TURNS, Fallback, Generation, IntentPolicy, Slot
from netloom.chat.policy_problems import generation_problems, problems
from netloom.chat.understanding import MAX_LETTERS
from netloom.core.errors import UsageError
from netloom.data.schema import Schema, TargetSpec
from netloom.store import open_store
from tests.explain.models import trained

INTENTS = {"weather": IntentPolicy(generate=Generation(run="a")), "affirm": IntentPolicy(responses=("Good.",))}


def understood(message: str, intent: str = "weather", confidence: float = 0.9) -> Understanding:
    return Understanding(message, ((intent, confidence), ("other", 0.05)))


def test_messages_of_a_run_without_intents_have_one_answer_and_fill_slots() -> None:
    city_slot = Slot(name="city", question="Where?", entities=("place",))
    policy = Policy(intents={"message": IntentPolicy(responses=("To {city}.",), slots=(city_slot,))})
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
    requests: list[tuple[str, str]] = []

    def write(generation: Generation, message: str, earlier: Sequence[Answered]) -> str:
        requests.append((generation.run, message))
        return f"{generation.run} on {message}"

    dialogue = Dialogue(policy, write=write)
    messages = [understood("rain?"), understood("hm", "weather", 0.2), understood("good", "affirm")]
    turns = [dialogue.respond(message) for message in messages]
    assert [turn.response for turn in turns] == ["a on rain?", "b on hm", "Good."]
    assert [turn.generated for turn in turns] == [True, True, False]
    assert requests == [("a", "rain?"), ("b", "hm")]
    [script] = read_scripts(dumps_scripts([script_of("a", turns, {})]).encode(), "a.csv")
    result = run_script(script, policy, lambda texts: messages, write)
    assert result.passed
    changed = run_script(script, policy, lambda texts: messages, lambda *given: "other")
    assert [bool(failures) for _, failures in changed.turns] == [True, True, False]


TRIP = IntentPolicy(
    generate=Generation(run="c"),
    slots=(Slot(name="day", question="When?"), Slot(name="city", question="Where to?", entities=("place",))),
)
ROME = Entity("place", "rome", 0, 0)


@pytest.mark.parametrize(
    ("messages", "events", "written"),
    [
        ([understood("will it rain in rome", "weather", 0.4), understood("yes", "affirm")], "confirm reply", "{0}"),
        ([understood("will it rain in rome", "weather", 0.4), understood("weather", "x")], "confirm reply", "{0}"),
        ([understood("rain?", "weather", 0.4), understood("yes in rome", "x", 0.2)], "confirm reply", "{0} {1}"),
        (
            [understood("rain?", "weather", 0.4), understood("good", "affirm"), understood("hm")],
            "confirm reply reply",
            "{2}",
        ),
        (
            [Understanding("um", (("weather", 0.5), ("trip", 0.45))), understood("1", "x", 0.2)],
            "ask_which reply",
            "{0}",
        ),
        (
            [
                understood("book", "trip"),
                understood("on monday", "x", 0.2),
                replace(understood("to rome", "x", 0.2), entities=(ROME,)),
            ],
            "ask_slot ask_slot reply",
            "{0} {1} {2}",
        ),
        (
            [understood("a trip", "trip", 0.4), understood("yes", "affirm"), understood("monday rome", "x", 0.2)],
            "confirm ask_slot ask_slot",
            "",
        ),
        ([understood("book", "trip"), understood("rain?")], "ask_slot reply", "{1}"),
        (
            [understood("rain?", "weather", 0.4), understood("rai", "weather", 0.4), understood("yes", "x")],
            "confirm confirm reply",
            "{0} {1}",
        ),
    ],
)
def test_after_a_question_a_run_reads_what_was_asked_about(
    messages: list[Understanding], events: str, written: str
) -> None:
    policy = Policy(intents={**INTENTS, "trip": TRIP})
    requests: list[str] = []
    state = State()
    for message, event in zip(messages, events.split(), strict=True):
        dialogue = Dialogue(policy, State(**json.loads(json.dumps(asdict(state)))), recorded(requests))
        turn = dialogue.respond(message)
        assert (turn.event, turn.message) == (event, message.message)
        state = dialogue.state
    assert requests == ([written.format(*(message.message for message in messages))] if written else [])
    assert state.waiting or not state.asked


def recorded(requests: list[str]) -> Write:
    def write(generation: Generation, message: str, earlier: Sequence[Answered]) -> str:
        requests.append(message)
        return "…"

    return write


def test_a_request_after_a_question_is_as_long_as_a_message_can_be() -> None:
    requests: list[str] = []
    dialogue = Dialogue(Policy(intents={"weather": INTENTS["weather"]}), write=recorded(requests))
    dialogue.respond(understood("a" * MAX_LETTERS, "weather", 0.4))
    assert len(dialogue.state.asked) == MAX_VALUE
    dialogue.respond(understood("b" * MAX_LETTERS))
    assert len(requests[0]) == MAX_LETTERS


def test_no_to_a_confirmation_is_not_a_message_to_generate_from() -> None:
    fallback = Fallback(generate=Generation(run="b"), rephrase="Sorry?", max_failures=5)
    requests: list[str] = []
    dialogue = Dialogue(Policy(intents=INTENTS, fallback=fallback), write=recorded(requests))
    dialogue.respond(understood("rain?", "weather", 0.4))
    turn = dialogue.respond(understood("no", "x", 0.2))
    assert (turn.event, turn.response, turn.generated) == ("rephrase", "Sorry?", False)
    assert dialogue.respond(understood("hm", "x", 0.2)).generated
    dialogue.respond(understood("rain?", "weather", 0.4))
    assert dialogue.respond(understood("er", "x", 0.2)).generated, "neither yes nor no"
    assert requests == ["hm", "er"]


def test_sessions_of_an_older_version_go_on() -> None:
    old: dict[str, Any] = {"intent": "", "slots": {}, "waiting": "confirmation", "slot": "", "offered": ["weather"]}
    old |= {"pending": [], "failures": 1, "handed_over": False, "answered": {}}
    requests: list[str] = []
    dialogue = Dialogue(Policy(intents=INTENTS), State(**old), recorded(requests))
    assert dialogue.respond(understood("yes", "x", 0.2)).event == "reply"
    assert requests == ["yes"]


def test_a_run_reads_the_answered_requests_before_the_message() -> None:
    read: list[list[Answered]] = []

    def write(generation: Generation, message: str, earlier: Sequence[Answered]) -> str:
        read.append(list(earlier))
        return f"to {message}"

    trip = TRIP.model_copy(update={"generate": Generation(run="c", earlier_turns=1)})
    policy, state = Policy(intents={**INTENTS, "trip": trip}), State()
    messages = [understood("rain?"), understood("good", "affirm"), understood("snow?"), understood("book", "trip")]
    messages += [understood("monday", "x", 0.2), replace(understood("to rome", "x", 0.2), entities=(ROME,))]
    for message in messages:
        dialogue = Dialogue(policy, State(**json.loads(json.dumps(asdict(state)))), write)
        dialogue.respond(message)
        state = dialogue.state
    rain, snow = ("rain?", "to rain?"), ("snow?", "to snow?")
    assert read == [[], [rain, ("good", "Good.")], [snow]]
    assert state.history[-1] == ("book monday to rome", "to book monday to rome")  # without the questions of the bot
    for _ in range(MAX_EARLIER_TURNS):
        dialogue.respond(understood("a" * MAX_LETTERS))
    assert [len(part) for turn in dialogue.state.history for part in turn] == [MAX_VALUE] * 2 * MAX_EARLIER_TURNS
    single = Policy(intents={"weather": IntentPolicy(generate=Generation(run="a", earlier_turns=0))})
    Dialogue(single, dialogue.state, write).respond(understood("rain?"))
    assert read[-1] == []


def test_the_oldest_turns_are_left_out_where_the_input_is_too_short() -> None:
    run = trained("characters")
    [name] = run.fields
    length = run.data.token_field(name).length
    lines = [(f"{place}" * 3, "b" * (length // 4)) for place in range(9)]
    [text] = dialogue_row(run, "now", lines).values()
    assert text.split() == [*[part for line in lines for part in line][-len(text.split()) + 1 :], "now"]
    assert length - length // 4 - 6 < len(text) <= length
    assert list(dialogue_row(run, "now", ()).values()) == ["now"]
    assert list(dialogue_row(run, "n" * length, lines).values()) == ["n" * length]


class Run:
    def __init__(self, run_id: str) -> None:
        self.run = SimpleNamespace(id=run_id)


def test_a_run_is_loaded_once_by_whatever_part_of_its_id() -> None:
    loads: list[str] = []

    def load(run: str) -> Any:
        loads.append(run)
        return Run("8a99cdf8")

    names = ("8a99", "8a99cdf8", "8A", "", "77aa", "77")
    intents = {f"i{index}": IntentPolicy(generate=Generation(run=name)) for index, name in enumerate(names)}
    Writers(cast("Any", Run("77aa")), load).load_all(Policy(intents=intents))
    assert loads == ["8a99"]


def test_a_response_that_cannot_be_generated_leaves_the_dialogue_as_it_was() -> None:
    policy, state = Policy(intents=INTENTS), State(intent="affirm", failures=1)

    def write(generation: Generation, message: str, earlier: Sequence[Answered]) -> str:
        raise UsageError("There is no run 'a'.")

    for writer, reason in ((write, "no run 'a'"), (None, "generated responses, which cannot be computed here")):
        with pytest.raises(UsageError, match=reason):
            Dialogue(policy, state, writer).respond(understood("rain?"))
    assert state == State(intent="affirm", failures=1)


def test_problems_of_generated_responses_name_their_place() -> None:
    intents = {"weather": IntentPolicy(responses=("Fine.",), generate=Generation(run="a"))}
    policy = Policy(intents=intents, fallback=Fallback(generate=Generation(run="b")))
    [both] = problems(policy, ("weather",), ())
    assert str(both) == "intents.weather.responses: responses and generate exclude each other; remove one of them."
    found_problems = list(map(str, generation_problems(policy, {"a": "", "b": "There is no run 'b'."}.__getitem__)))
    assert found_problems == ["fallback.generate: there is no run 'b'."]


def test_a_run_without_intents_has_no_fallback(tmp_path: Path) -> None:
    schema = Schema((), TargetSpec("tags", classes=("O", "B-place")), 1)
    policy = starting_policy(schema)
    assert policy_problems(policy, schema, open_store(tmp_path)) == []
    fallback = Fallback(generate=Generation(run="a"))
    found_problems = policy_problems(policy.model_copy(update={"fallback": fallback}), schema, open_store(tmp_path))
    assert "fallback.generate: this run does not predict intents" in str(found_problems[0])


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
