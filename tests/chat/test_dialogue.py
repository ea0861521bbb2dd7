"""Dialogues: slots, context, ambiguity, the two stages of the fallback, and the hand-over to a person."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any, get_args

import pytest

from netloom.chat import (
    Dialogue,
    Entity,
    Policy,
    PolicyError,
    Turn,
    Understanding,
    default_policy,
    dumps,
    dumps_scripts,
    dumps_yaml,
    loads,
    read_scripts,
    script_of,
    with_out_of_scope,
)
from netloom.chat.dialogue import Event, State
from netloom.chat.policy import Fallback, IntentPolicy, Slot
from netloom.chat.policy_problems import problems
from netloom.chat.scripts import Expected
from netloom.chat.understanding import as_written
from netloom.core.errors import UsageError

POLICY = Policy(
    intents={
        "book": IntentPolicy(
            responses=("Booked a table in {city} on {date}.", "A table in {city} on {date} is booked."),
            slots=(
                Slot(name="city", question="In which city?", entities=("place",)),
                Slot(name="date", question="On which day?", entities=("day",)),
            ),
            follow_ups={"affirm": "confirm_booking"},
        ),
        "confirm_booking": IntentPolicy(responses=("See you.", "See you in {city}.")),
        "affirm": IntentPolicy(responses=("Good.",)),
        "weather": IntentPolicy(
            responses=("The weather is fine.", "It is fine in {city} on {date}."),
            slots=(
                Slot(name="city", entities=("place",), required=False),
                Slot(name="date", entities=("day",), required=False),
            ),
        ),
        "travel": IntentPolicy(
            responses=("From {start} to {end}.",),
            slots=(
                Slot(name="start", question="From where?", entities=("place",)),
                Slot(name="end", question="Where to?", entities=("place",)),
            ),
        ),
        "complain": IntentPolicy(responses=("I am sorry. A person will help you.",), hand_over=True),
        "note": IntentPolicy(responses=("Noted: {text}",), slots=(Slot(name="text", question="What shall I note?"),)),
    },
    fallback=Fallback(out_of_scope=("other",)),
)


def understood(
    message: str, intent: str = "weather", confidence: float = 0.9, second: str = "affirm", **entities: str
) -> Understanding:
    """A message as a run would understand it; entities by kind, several texts separated by |."""
    remaining_share = (1 - confidence) if confidence >= 0.5 else confidence - 0.15
    found_entities = [
        Entity(kind, text, index, index)
        for kind, texts in entities.items()
        for index, text in enumerate(texts.split("|"))
    ]
    return Understanding(message, ((intent, confidence), (second, remaining_share)), (), tuple(found_entities))


def played(*messages: Understanding) -> list[Turn]:
    dialogue = Dialogue(POLICY)
    return [dialogue.respond(message) for message in messages]


def test_required_slots_are_asked_for_in_order() -> None:
    turns = played(
        understood("a table please", "book"),
        understood("Rome", "weather", 0.2, place="Rome"),
        understood("friday", "weather", 0.2, day="friday"),
    )
    assert [turn.event for turn in turns] == ["ask_slot", "ask_slot", "reply"]
    assert [turn.response for turn in turns] == [
        "In which city?",
        "On which day?",
        "Booked a table in Rome on friday.",
    ]
    assert {turn.intent for turn in turns} == {"book"}


def test_filled_slots_are_carried_over_to_other_intents() -> None:
    turns = played(understood("table in Rome on friday", "book", place="Rome", day="friday"), understood("weather?"))
    assert turns[1].response == "It is fine in Rome on friday."


def test_a_value_without_a_clear_intent_continues_the_last_one() -> None:
    turns = played(
        understood("weather in Rome today", place="Rome", day="today"),
        understood("and tomorrow?", "book", 0.4, day="tomorrow"),
    )
    assert (turns[1].intent, turns[1].response) == ("weather", "It is fine in Rome on tomorrow.")


@pytest.mark.parametrize(
    ("message", "entities", "intent"),
    [
        ("And tomorrow?", {"day": "tomorrow"}, "weather"),
        ("what about Paris tomorrow", {"place": "Paris", "day": "tomorrow"}, "weather"),
        ("and book it tomorrow", {"day": "tomorrow"}, "book"),
        ("tomorrow", {"day": "tomorrow"}, "book"),
        ("and two", {"count": "two"}, "book"),
        ("and", {}, "book"),
    ],
)
def test_a_message_of_a_continuation_and_values_keeps_the_intent(
    message: str, entities: dict[str, str], intent: str
) -> None:
    """A network that never learned such messages is often sure of another intent."""
    first = understood("weather in Rome today", place="Rome", day="today")
    then = understood(message, "book", 0.95, **entities)
    assert played(first, then)[1].intent == intent
    silent = POLICY.model_copy(update={"fallback": POLICY.fallback.model_copy(update={"continuations": ()})})
    dialogue = Dialogue(silent)
    dialogue.respond(first)
    assert dialogue.respond(then).intent == "book"


def test_a_continuation_answers_a_question() -> None:
    turns = played(
        understood("a table in Rome", "book", place="Rome"), understood("and on Monday", "weather", 0.95, day="Monday")
    )
    assert [turn.event for turn in turns] == ["ask_slot", "reply"]
    assert turns[1].response == "Booked a table in Rome on Monday."


def test_a_clear_intent_ends_a_question() -> None:
    turns = played(understood("a table please", "book"), understood("I want to complain", "complain"))
    assert (turns[1].intent, turns[1].event) == ("complain", "hand_over")


def test_two_slots_of_one_kind_are_filled_one_after_the_other() -> None:
    assert played(understood("from Rome to Paris", "travel", place="Rome|Paris"))[0].response == "From Rome to Paris."
    turns = played(understood("from Rome", "travel", place="Rome"), understood("Paris", "book", 0.3, place="Paris"))
    assert [turn.response for turn in turns] == ["Where to?", "From Rome to Paris."]


def test_a_slot_without_kinds_takes_the_whole_answer() -> None:
    turns = played(understood("take a note", "note"), understood(" buy milk ", "weather", 0.2))
    assert turns[1].response == "Noted: buy milk"


def test_follow_up_means_another_intent_only_after_its_intent() -> None:
    turns = played(
        understood("yes", "affirm"),
        understood("table in Rome on friday", "book", place="Rome", day="friday"),
        understood("yes", "affirm"),
    )
    assert [turn.intent for turn in turns] == ["affirm", "book", "confirm_booking"]
    assert turns[2].response == "See you in Rome."


@pytest.mark.parametrize(("answer", "intent"), [("weather", "weather"), ("2", "book"), ("Book", "book")])
def test_close_intents_are_offered_as_a_choice(answer: str, intent: str) -> None:
    close = Understanding("rome?", (("weather", 0.46), ("book", 0.44), ("affirm", 0.1)))
    turns = played(close, understood(answer, "affirm", 0.2))
    assert (turns[0].event, turns[0].response) == ("ask_which", "Which do you mean: weather or book?")
    assert turns[1].intent == intent


@pytest.mark.parametrize(("answer", "event"), [("Yes, please", "reply"), ("no", "rephrase")])
def test_uncertain_intent_is_confirmed_first(answer: str, event: str) -> None:
    turns = played(understood("sky?", "weather", 0.45), understood(answer, "book", 0.1))
    assert (turns[0].event, turns[0].response) == ("confirm", "Do you mean: weather?")
    assert turns[1].event == event


def test_a_person_takes_over_after_too_many_failures() -> None:
    turns = played(*(understood("hm", "weather", 0.2) for _ in range(3)))
    assert [turn.event for turn in turns] == ["rephrase", "rephrase", "hand_over"]
    assert turns[2].response == POLICY.fallback.handed_over


def test_a_person_keeps_a_dialogue_that_was_handed_over() -> None:
    turns = played(understood("this is bad", "complain"), understood("weather?"))
    assert [turn.event for turn in turns] == ["hand_over", "hand_over"]
    assert turns[1].response == POLICY.fallback.handed_over


def test_values_of_an_unclear_message_are_used_after_its_confirmation() -> None:
    turns = played(
        understood("rome today?", "weather", 0.45, place="Rome", day="today"), understood("yes", "affirm", 0.9)
    )
    assert (turns[0].event, turns[1].response) == ("confirm", "It is fine in Rome on today.")


@pytest.mark.parametrize(
    ("message", "intent", "confidence", "expected"),
    [
        ("no, book a table", "book", 0.95, ("ask_slot", "book")),
        ("right now I want to complain", "complain", 0.95, ("hand_over", "complain")),
        ("no", "book", 0.95, ("rephrase", "")),
        ("that is wrong", "affirm", 0.2, ("rephrase", "")),
        ("that is it, thanks", "affirm", 0.2, ("reply", "weather")),
    ],
)
def test_confirmation_is_more_than_its_first_word(
    message: str, intent: str, confidence: float, expected: tuple[str, str]
) -> None:
    fallback = POLICY.fallback.model_copy(update={"yes": ("right", "that is it")})
    dialogue = Dialogue(POLICY.model_copy(update={"fallback": fallback}))
    assert dialogue.respond(understood("hm", "weather", 0.45)).event == "confirm"
    turn = dialogue.respond(understood(message, intent, confidence))
    assert (turn.event, turn.intent) == expected


def test_values_of_a_rejected_message_are_forgotten() -> None:
    turns = played(
        understood("hm", "weather", 0.45),
        understood("not in paris", "affirm", 0.2, place="paris"),
        understood("weather please", "weather"),
    )
    assert [turn.event for turn in turns] == ["confirm", "rephrase", "reply"]
    assert turns[2].slots == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("message,intent\nhello, there,weather\n", "more cells than the header"),
        ('message,intent\n"hello,weather\n', "is not valid CSV"),
        ("", "t.csv is empty"),
        ("message,intent,event\nhello,weather,replies\n", "unknown event 'replies'; choose from reply, ask_slot"),
        ('[{"message": true}]', "message in row 1 of t.csv must be a text, received bool"),
    ],
)
def test_tests_that_are_not_csv_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_scripts(text.encode(), "t.csv")


def test_numbers_in_yaml_are_read_as_they_are_written() -> None:
    text = "a:\n  - {message: 010, intent: true, slots: {time: 12:30, price: 1.50, place: }}"
    (script,) = read_scripts(text.encode(), "t.yaml")
    slots = (("time", "12:30"), ("price", "1.50"), ("place", ""))
    assert script.turns == (Expected("010", "true", slots=slots),)


def test_turns_of_a_dialogue_need_not_be_adjacent() -> None:
    scripts = read_scripts(b"dialogue,message,intent\na,x,i\nb,y,i\na,z,i\n", "t.csv")
    assert [(script.name, [turn.message for turn in script.turns]) for script in scripts] == [
        ("a", ["x", "z"]),
        ("b", ["y"]),
    ]


def test_state_of_another_policy_is_accepted() -> None:
    state = State(intent="cancelled", waiting="slot", slot="reason")
    turn = Dialogue(POLICY, state).respond(understood("hm", "weather", 0.2))
    assert turn.event == "rephrase"


def test_a_success_resets_the_count_of_failures() -> None:
    bad, good = understood("hm", "weather", 0.2), understood("weather?")
    assert [turn.event for turn in played(bad, bad, good, bad, bad)][3:] == ["rephrase", "rephrase"]


def test_out_of_scope_is_never_accepted() -> None:
    turns = played(understood("write a poem", "other", 0.95))
    assert (turns[0].event, turns[0].intent) == ("out_of_scope", "")


def test_responses_take_turns() -> None:
    message = understood("table in Rome on friday", "book", place="Rome", day="friday")
    first, second, third = (turn.response for turn in played(message, message, message))
    assert first == third != second


def test_dialogue_continues_from_its_saved_state() -> None:
    messages = [
        understood("a table please", "book"),
        understood("Rome", "weather", 0.2, place="Rome"),
        understood("friday", "weather", 0.2, day="friday"),
    ]
    whole, state = played(*messages), State()
    for message, expected in zip(messages, whole, strict=True):
        dialogue = Dialogue(POLICY, state)
        assert dialogue.respond(message) == expected
        values: dict[str, Any] = dialogue.as_json()
        state = State(**values)


def test_slot_text_is_not_read_as_a_template() -> None:
    turn = played(understood("in {date}", "weather", place="{date}{0.__class__}", day="today"))[0]
    assert turn.response == "It is fine in {date}{0.__class__} on today."


def test_policy_survives_a_round_trip() -> None:
    assert loads(dumps(POLICY)) == loads(dumps_yaml(POLICY)) == POLICY


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "The policy is not valid JSON: "),
        ('{"intents": {"a": {"responses": "x"}}}', "intents.a.responses must be a list, received 'x'."),
        (
            '{"intents": {"a": {"respones": []}}}',
            "There is no field 'respones' in intents.a; did you mean 'responses'",
        ),
        ('{"intents": {}, "fallback": {"confidence": 2}}', "fallback.confidence must be at most 1, received 2."),
        ("intents: {}\nsecret: 1", "There is no field 'secret' in the policy; choose one of "),
        ("intents: {}\nfallback:\n  confidence: high", "fallback.confidence must be a number, received 'high'."),
        (
            "intents:\n  a:\n    responses: [1e3]",
            "intents.a.responses.0 must be text, received 1000.0. In YAML, a text such as 1e3, true or null needs",
        ),
        ("intents: [", "The policy is neither a JSON object nor valid YAML: "),
        ("", "The policy must be a JSON object"),
    ],
)
def test_invalid_policy_is_refused_in_words(text: str, message: str) -> None:
    with pytest.raises(PolicyError) as error:
        loads(text)
    assert str(error.value).startswith(message)


KINDS = ("place", "day")


def problem_texts(policy: Policy, intents: Sequence[str]) -> list[str]:
    return [str(problem) for problem in problems(policy, intents, KINDS)]


def test_problems_of_a_policy_name_what_does_not_fit_the_run() -> None:
    intents = [*POLICY.intents, "other"]
    assert problem_texts(POLICY, intents) == []
    (missing,) = problem_texts(POLICY, [*intents, "cancel"])
    assert "'cancel'" in missing
    assert any("intents.book" in text for text in problem_texts(POLICY, [name for name in intents if name != "book"]))
    broken = POLICY.intents | {"affirm": IntentPolicy(responses=("On {dat}.",), follow_ups={"x": "affirm"})}
    texts = problem_texts(Policy(intents=broken, fallback=POLICY.fallback), intents)
    assert any("'dat'" in text for text in texts)
    assert any("'x'" in text for text in texts)


@pytest.mark.parametrize(
    ("change", "place", "message"),
    [
        ({"intents": {"a": IntentPolicy(responses=())}}, "intents.a.responses", "at least one"),
        (
            {"intents": {"a": IntentPolicy(responses=("{d}",), slots=(Slot(name="d", required=False),))}},
            "intents.a.responses",
            "without optional slots",
        ),
        (
            {"intents": {"a": IntentPolicy(responses=("x",), slots=(Slot(name="d"), Slot(name="d")))}},
            "intents.a.slots",
            "2 slots 'd'",
        ),
        (
            {"intents": {"a": IntentPolicy(responses=("x",), slots=(Slot(name="d", entities=("color",)),))}},
            "intents.a.slots",
            "entities 'color'",
        ),
        ({"fallback": Fallback(confidence=0.2, confirm_from=0.3)}, "fallback.confirm_from", "at most"),
        ({"fallback": Fallback(continuations=("?",))}, "fallback.continuations", "no letters or digits"),
        ({"fallback": Fallback(out_of_scope=("b",))}, "fallback.out_of_scope", "intent 'b'"),
        ({"fallback": Fallback(out_of_scope=("a",))}, "fallback.out_of_scope", "also has an answer"),
    ],
)
def test_problem_has_its_place(change: dict[str, Any], place: str, message: str) -> None:
    policy = Policy(intents={"a": IntentPolicy(responses=("x",))}).model_copy(update=change)
    (problem,) = problems(policy, ["a"], KINDS)
    assert message in problem.message
    assert str(problem) == f"{place}{'[0]' if '[' in problem.part else ''}: {problem.message}"


def test_default_policy_fits_its_intents() -> None:
    policy = default_policy(["a_b", "other"], ["day"], ["other"])
    assert problem_texts(policy, ["a_b", "other"]) == []
    assert Dialogue(policy).respond(understood("x", "a_b")).response == "You asked about: a b."
    braces = default_policy(["say {x}"])
    assert problem_texts(braces, ["say {x}"]) == []
    assert Dialogue(braces).respond(understood("x", "say {x}")).response == "You asked about: say x."


def test_intents_can_leave_the_scope_and_return() -> None:
    policy = with_out_of_scope(default_policy(["a", "b"]), ["b"])
    assert list(policy.intents) == ["a"]
    assert Dialogue(policy).respond(understood("x", "b")).event == "out_of_scope"
    again = with_out_of_scope(policy, [], ["day"])
    assert problem_texts(again, ["a", "b"]) == []
    assert [slot.name for slot in again.intents["b"].slots] == ["day"]


def test_an_abstaining_run_accepts_no_intent() -> None:
    doubtful = replace(understood("hm", "weather", 0.95), abstains=True)
    assert Dialogue(POLICY).respond(doubtful).event == "confirm"
    # Without a known word, the ranking is that of an empty message
    foreign = replace(understood("مرحبا", "weather", 0.95), is_unknown=True)
    assert Dialogue(POLICY).respond(foreign).event == "rephrase"


def test_a_state_survives_an_edited_policy() -> None:
    """The server loads another policy while a dialogue waits for an answer."""
    dialogue = Dialogue(POLICY)
    dialogue.respond(understood("table in Rome", "book", place="Rome"))
    assert dialogue.state.waiting == "slot"
    smaller = POLICY.model_copy(update={"intents": {"weather": POLICY.intents["weather"]}})
    turn = Dialogue(smaller, dialogue.state).respond(understood("weather?"))
    assert (turn.event, turn.slots) == ("reply", {"city": "Rome"})

    choosing = Dialogue(POLICY)
    assert choosing.respond(understood("hm", "book", 0.5, "travel")).event == "ask_which"
    turn = Dialogue(smaller, choosing.state).respond(understood("book", "book"))
    assert turn.event == "rephrase"


def test_a_dialogue_becomes_a_test_that_it_passes() -> None:
    turns = played(understood("table in Rome; now", "book", place="Rome; now"), understood("zz", "weather", 0.1))
    text = dumps_scripts([script_of("a, b", turns, {1: "weather"})])
    (script,) = read_scripts(text.encode(), "test.csv")
    assert script.name == "a, b"
    assert not list(script.turns[0].failures(turns[0]))
    assert list(script.turns[1].failures(turns[1])) == ["intent -, expected weather"]


@pytest.mark.parametrize(
    ("message", "words", "written"),
    [
        ("Fly to Rome, ROME!", ["fly", "to", "rome", "rome"], ("Fly", "to", "Rome", "ROME")),
        ("a b", ["a", "?", "b"], ("a", "?", "b")),
        ("İ b", ["i̇", "b"], ("i̇", "b")),
    ],
)
def test_words_keep_their_capital_letters(message: str, words: list[str], written: tuple[str, ...]) -> None:
    assert as_written(message, words) == written


def random_policy(random: Random) -> Policy:
    """A policy for the intents a to e without problems, with slots, follow-ups and some intents out of scope."""
    intents, outside = "abcde", tuple(random.sample("abcde", random.randint(0, 2)))
    inside = [name for name in intents if name not in outside]
    answers = {}
    for name in inside:
        slots = tuple(
            Slot(name=slot, entities=tuple(random.sample(KINDS, random.randint(0, 2))), required=random.random() < 0.5)
            for slot in random.sample("pqr", random.randint(0, 3))
        )
        responses = ("ok", *(f"{{{slot.name}}}" for slot in slots))
        follow_ups = {random.choice(inside): random.choice(inside)} if random.random() < 0.3 else {}
        answers[name] = IntentPolicy(responses=responses, slots=slots, follow_ups=follow_ups)
    fallback = Fallback(confidence=random.random(), confirm_from=0, ambiguity=0.1, max_failures=9, out_of_scope=outside)
    return Policy(intents=answers, fallback=fallback)


def test_no_dialogue_fails_while_its_policy_is_edited() -> None:
    """Any messages, and any policy after any other one: an accepted intent is one of the current policy."""
    random, events = Random(0), set[str]()
    for _ in range(300):
        dialogue = Dialogue(random_policy(random))
        for _ in range(12):
            if random.random() < 0.2:
                dialogue = Dialogue(random_policy(random), State(**json.loads(json.dumps(dialogue.as_json()))))
            assert problem_texts(dialogue.policy, "abcde") == []
            shares = sorted((random.random() for _ in range(5)), reverse=True)
            ranking = tuple(zip(random.sample("abcde", 5), (share / sum(shares) for share in shares), strict=True))
            entities = tuple(Entity(random.choice(KINDS), "x", 0, 0) for _ in range(random.randint(0, 2)))
            message = random.choice(["yes", "no", "1", "2", "a", "", "{p}"])
            turn = dialogue.respond(Understanding(message, ranking, (), entities))
            assert not turn.intent or turn.intent in dialogue.policy.intents
            events.add(turn.event)
    assert events == set(get_args(Event))
