"""The chat of the Try it page: messages, why, corrections, the policy, thresholds, and dialogues as tests."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any, cast

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from netloom import runs
from netloom.chat import dumps, read_scripts, starting_policy, writes_text
from netloom.chat.policy import Generation, IntentPolicy
from netloom.runs import load_run
from netloom.store import RunArtifacts, Store, open_store
from netloom.templates import templates
from netloom.ui.playground.chat import generated
from netloom.ui.playground.chat.state import ChatState, Key
from netloom.ui.playground.page import CHAT
from netloom.ui.playground.state import Key as PageKey
from tests.cli.conftest import called
from tests.runs.examples import trained_here
from tests.ui.page_texts import checked

PAGE = Path(__file__).parents[2] / "pages" / "playground.py"
ALARM = "wake me at seven tomorrow"
# The names of further templates with the epochs of their runs.
OTHERS = (("intents_transformer", (0,)), ("requests_tagger", (2,)), ("tales_gpt", (0,)), ("digits_mlp", (0,)))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two runs of intents and entities, the first untrained, one with attention, one of entities
    alone, a language model, and a run that cannot chat."""
    folder: Path = tmp_path_factory.mktemp("chat")
    store = open_store(folder)
    for name, epochs in (("commands_joint", (0, 6)), *OTHERS):
        project = templates()[name].project
        project_id = store.create_project(project.model_copy(update={"name": name}))
        for count in epochs:
            training = project.training.model_copy(update={"epochs": count, "device": "cpu"})
            with trained_here():
                run_id = runs.start(store, project_id, project.model_copy(update={"training": training, "name": name}))
            assert store.run(run_id).state == "finished"
    return folder


@pytest.fixture(autouse=True)
def _use_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETLOOM_HOME", str(home))
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture(autouse=True)
def _forget(home: Path) -> None:
    """Remove what the test before saved with a run."""
    for run in open_store(home).runs(limit=9):
        files = open_store(home).artifacts(run.id)
        files.chat.delete_policy()
        files.chat.save_tests("")


def open_chat(name: str = "commands_joint") -> AppTest:
    return checked(unchecked_chat(name))


def unchecked_chat(name: str = "commands_joint") -> AppTest:
    store = open_store()
    [project] = [row.id for row in store.list_projects(limit=9) if row.name == name]
    app = AppTest.from_file(str(PAGE), default_timeout=300)
    app.query_params["project"] = project
    app.query_params["run"] = store.runs(project)[0].id
    app.session_state[PageKey.MODE.value] = CHAT
    return app.run()


def say(app: AppTest, text: str) -> AppTest:
    return checked(app.chat_input[0].set_value(text).run())


def texts(app: AppTest) -> str:
    return " ".join(str(item.proto) for kind in ("markdown", "caption", "html", "info") for item in app.get(kind))


def button(app: AppTest, label: str, place: int = 0) -> Any:
    return [item for item in app.button if item.label == label][place]


def widget(app: AppTest, kind: str, label: str) -> Any:
    return next(item for item in cast("Any", app.get(kind)) if item.label == label)


def tab(app: AppTest, name: str) -> AppTest:
    app.session_state[Key.PANEL.value] = name
    return checked(app.run())


def artifacts() -> RunArtifacts:
    """The files of the run that chats."""
    store = open_store()
    [project] = [row.id for row in store.list_projects(limit=9) if row.name == "commands_joint"]
    return store.artifacts(store.runs(project)[0].id)


def test_messages_show_intent_entities_and_the_answer() -> None:
    app = say(open_chat(), "wake me at Seven tomorrow")
    text = texts(app)
    assert ":blue-badge[set" in text
    assert '3px solid #64748b\\">Seven</span>' in text, "entities are highlighted"
    assert "set alarm" in text
    assert ":orange-badge[no known word]" in texts(say(app, "zzz"))
    assert len(app.chat_message) == 4
    checked(button(app, "Restart").click().run())
    assert not app.chat_message


def test_a_message_that_interrupts_the_answer_to_another_one_loses_neither() -> None:
    app = say(open_chat(), ALARM)
    [conversation] = app.session_state[ChatState.name()].conversations.values()
    conversation.waiting.append("and on friday")  # its script was ended before it had read the message
    say(app, "zzz")
    messages = [exchange.turn.message for exchange in conversation.exchanges]
    assert messages == [ALARM, "and on friday", "zzz"]
    assert len(app.chat_message) == 6


def test_messages_are_not_markup() -> None:
    app = say(open_chat(), "<img src=x onerror=alert(1)> **bold** [a](http://b.c) wake me at seven")
    user = next(item for item in app.chat_message if item.name == "user")
    drawn = " ".join(item.value for item in user.markdown) + " ".join(str(item.proto) for item in user.get("html"))
    assert not re.search(r"(?<!\\)<img|(?<!\\)\*\*bold", drawn)
    assert "http://b.c" not in drawn


def test_why_shows_the_words_that_the_intent_relies_on() -> None:
    app = say(open_chat(), ALARM)
    checked(button(app, "Why").click().run())
    text = texts(app)
    assert "increases the score" in text, "the legend"
    assert "checks passed" in text or "Faithfulness" in text
    assert "**Attention**" in text
    assert "The network does not have an attention layer" in text
    checked(button(app, "Why").click().run())
    assert "increases the score" not in texts(app)


def test_why_shows_the_attention_of_each_head_in_the_chat() -> None:
    app = say(open_chat("intents_transformer"), "is it raining")
    checked(button(app, "Why").click().run())
    drawn = attention_drawing(app)
    assert "raining" in drawn
    sentence = r"\*\*The (prediction relies on .+?|attended positions do not explain this prediction)\. .+?\.\*\*"
    assert len(re.findall(sentence, " ".join(item.value for item in app.markdown))) == 1
    head = widget(app, "selectbox", "Head")
    assert head.options[:2] == ["Mean of all heads", "Head 1"]
    checked(head.set_value("Head 1").run())
    assert attention_drawing(app) != drawn


def attention_drawing(app: AppTest) -> str:
    """Return the lines of the attention in the chat as SVG."""
    proto = next(item.proto for item in app.main if "Attention from queries to keys" in str(item.proto))
    svg = json.loads(cast("Any", proto).json)["svg"]
    assert isinstance(svg, str)
    return svg


def test_a_run_without_intents_shows_entities_and_fills_slots() -> None:
    app = open_chat("requests_tagger")
    assert "does not predict intents" in texts(app), "said, and not an error"
    assert "Intent" not in [item.label for item in app.selectbox]
    checked(widget(app, "text_area", "Responses").set_value("A table in {place}.\nWhere?").run())
    say(app, "book a table in rome tomorrow")
    text = texts(app)
    assert re.search(r'3px solid #\w+\\">rome</span>', text), "entities are highlighted"
    assert "A table in rome" in text
    assert "place: rome" in text, "the slot"
    labels = [item.label for item in app.button]
    assert "Why" in labels
    assert "Correct" not in labels
    checked(button(app, "Why").click().run())
    assert "increases the score" in texts(app)
    assert "does not predict intents" in tab(app, "Fallback").info[0].value


def test_a_stopped_response_ends_where_it_was() -> None:
    """The button ends the script that draws the response; the next script takes the text so far."""
    app = open_chat("tales_gpt")
    [weights] = app.session_state[ChatState.name()].conversations
    conversation = app.session_state[ChatState.name()].conversations[weights]
    conversation.waiting, conversation.written, conversation.stopped = ["the king"], "was in", True
    checked(app.run())
    assert [exchange.turn.response for exchange in conversation.exchanges] == ["was in"]
    assert (conversation.waiting, conversation.stopped) == ([], False)
    assert "was in" in texts(say(app, "and then"))
    assert [exchange.turn.generated for exchange in conversation.exchanges] == [True, True]
    assert conversation.state.history[0] == ("the king", "was in")


def test_a_language_model_continues_messages() -> None:
    app = open_chat("tales_gpt")
    assert "The run generates the response" in texts(app)
    say(app, "the king")
    assert "The bot answers · generated by a run" in texts(app)
    [conversation] = app.session_state[ChatState.name()].conversations.values()
    [written] = conversation.exchanges
    assert len(written.turn.response) > 20
    checked(widget(app, "number_input", "Maximum length").set_value(3).run())
    checked(widget(app, "number_input", "Earlier turns").set_value(0).run())
    say(app, "the king")
    assert written.turn.response.startswith(conversation.exchanges[1].turn.response)
    checked(button(app, "Why", -1).click().run())
    assert "increases the score" in texts(app)


def test_responses_are_generated_by_a_chosen_run(home: Path) -> None:
    app = open_chat()
    checked(widget(app, "toggle", "Generate the response with a run").set_value(True).run())
    assert "Responses" not in [item.label for item in app.text_area]
    [name] = widget(app, "selectbox", "Generated by").options
    assert name.startswith("tales_gpt · ")
    checked(widget(app, "number_input", "Maximum length").set_value(20).run())
    checked(widget(app, "slider", "Temperature").set_value(0.0).run())
    say(app, ALARM)
    [conversation] = app.session_state[ChatState.name()].conversations.values()
    response = conversation.exchanges[0].turn.response
    assert conversation.exchanges[0].turn.generated
    app = tab(app, "Fallback")
    checked(widget(app, "toggle", "Generate the answer to a message without a clear intent").set_value(True).run())
    checked(button(app, "Save policy").click().run())
    saved = json.loads(artifacts().chat.policy() or b"")
    assert saved["intents"]["set_alarm"]["generate"]["length"] == 20
    assert saved["fallback"]["generate"]["run"] == saved["intents"]["set_alarm"]["generate"]["run"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(f"{ALARM}\n"))
        answer = called("chat", artifacts().run_id, "--home", home, "--json")
    assert (answer.value["response"], answer.value["generated"]) == (response, True), "netloom chat says the same"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(f"{ALARM}\n"))
        assert "[reply (generated): set_alarm " in called("chat", artifacts().run_id, "--home", home).out
    app = tab(app, "Tests")
    checked(button(app, "Save dialogue").click().run())
    checked(button(app, "Play").click().run())
    assert "1 of 1 dialogues passed" in texts(app)


def test_a_run_that_cannot_generate_is_a_problem_of_the_policy() -> None:
    draft = starting_policy(load_run(open_store(), artifacts().run_id).data.schema)
    lost = IntentPolicy(generate=Generation(run="0000"))
    artifacts().chat.save_policy(dumps(draft.model_copy(update={"intents": {**draft.intents, "set_alarm": lost}})))
    app = unchecked_chat()
    assert "there is no run '0000'" in app.error[0].value
    assert "You asked about" in texts(app.chat_input[0].set_value(ALARM).run()), "the default policy answers"


def policy_with_writer(run_id: str) -> str:
    policy = starting_policy(load_run(open_store(), artifacts().run_id).data.schema)
    alarm = IntentPolicy(generate=Generation(run=run_id))
    return dumps(policy.model_copy(update={"intents": {**policy.intents, "set_alarm": alarm}}))


def test_a_chosen_run_that_is_older_than_the_listed_ones_has_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []

    def counted(store: Store, run_id: str) -> bool:
        reads.append(run_id)
        return writes_text(store, run_id)

    monkeypatch.setattr(generated, "writes_text", counted)
    store = open_store()
    [writer] = [run for run in store.runs(limit=9) if run.title.startswith("tales_gpt")]
    artifacts().chat.save_policy(policy_with_writer(writer.id[:8]))
    app = open_chat()
    name = f"{writer.title} · {writer.id[:8]}"
    assert widget(app, "selectbox", "Generated by").options == [name], "by the beginning of its id"
    read = list(reads)
    checked(app.run())
    assert read
    assert reads == read, "the document of a finished run is read once"
    monkeypatch.setattr(generated, "MAX_LISTED", 1)
    assert widget(open_chat(), "selectbox", "Generated by").options == [name]


def test_a_run_that_fails_to_generate_and_one_that_was_deleted_are_reported() -> None:
    project, store = templates()["tales_gpt"].project, open_store()
    training = project.training.model_copy(update={"epochs": 0, "device": "cpu"})
    project = project.model_copy(update={"training": training})
    with trained_here():
        run_id = runs.start(store, project_id := store.create_project(project), project)
    artifacts().chat.save_policy(policy_with_writer(run_id))
    app = open_chat()
    for file in store.artifacts(run_id).best_weights.parent.rglob("*.*"):
        if file.suffix in (".safetensors", ".pt"):
            file.write_bytes(b"damaged")
    app = app.chat_input[0].set_value(ALARM).run()
    assert app.error
    assert "Generating" not in texts(app)
    assert "assistant" not in [message.name for message in app.chat_message]
    store.delete_project(project_id)
    assert "There is no run" in texts(app.run()), "the problem of the policy is seen without an edit"


def test_corrected_messages_become_labeled_rows() -> None:
    app = say(open_chat(), ALARM)
    checked(button(app, "Correct").click().run())
    checked(widget(app, "selectbox", "Correct intent").set_value("weather").run())
    assert "Correct intent: **weather**" in texts(app)
    app = tab(app, "Tests")
    state = app.session_state[ChatState.name()]
    [collected] = state.collected.values()
    assert collected == {ALARM: "weather"}
    assert "Download labeled CSV" in [item.label for item in cast("Any", app.get("download_button"))]


def test_corrected_intents_are_collected_in_the_project() -> None:
    app = say(open_chat("intents_transformer"), ALARM)
    store = open_store()
    [project] = [row.id for row in store.list_projects(limit=9) if row.name == "intents_transformer"]
    checked(button(app, "Correct").click().run())
    intents = list(widget(app, "selectbox", "Correct intent").options[:2])
    checked(button(app, "Correct").click().run())
    for intent in intents:  # the second one replaces the first
        checked(button(app, "Correct").click().run())
        checked(widget(app, "selectbox", "Correct intent").set_value(intent).run())
        [example] = store.collected(project).all()
        assert (example.label, example.origin, list(example.row.values())) == (intent, "Chat", [ALARM])


def test_an_edited_policy_answers_and_is_saved_with_the_run(home: Path) -> None:
    app = open_chat()
    checked(widget(app, "text_area", "Responses").set_value("Alarm at {time}.\nAlarm set.").run())
    assert button(app, "Save policy").disabled is False
    assert "Alarm at seven" in texts(say(app, ALARM))
    checked(button(app, "Save policy").click().run())
    saved = json.loads(artifacts().chat.policy() or b"")
    assert saved["intents"]["set_alarm"]["responses"] == ["Alarm at {time}.", "Alarm set."]
    assert "Saved with the run" in texts(app)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(f"{ALARM}\n"))
        answer = called("chat", artifacts().run_id, "--home", home, "--json")
    assert answer.value["response"] == "Alarm at seven.", "netloom chat uses it, too"
    again = open_chat()
    assert widget(again, "text_area", "Responses").value == "Alarm at {time}.\nAlarm set."
    checked(button(again, "Reset").click().run())
    assert widget(again, "text_area", "Responses").value == "You asked about: set alarm."
    # The other tab saves this one now, and the first tab does not replace it unnoticed
    checked(widget(app, "text_area", "Responses").set_value("Mine.").run())
    checked(button(again, "Save policy").click().run())
    refused = button(app, "Save policy").click().run()
    assert "saved in another tab" in refused.error[0].value
    assert (
        artifacts().chat.policy()
        == dumps(starting_policy(load_run(open_store(), artifacts().run_id).data.schema)).encode()
    )
    checked(button(app, "Save policy").click().run())
    assert b"Mine." in (artifacts().chat.policy() or b"")


def test_problems_are_shown_at_their_place_and_not_saved() -> None:
    app = open_chat()
    checked(widget(app, "text_area", "Responses").set_value("Alarm at {tim}.").run())
    places = [item.value for item in app.markdown if ":material/error:" in item.value]
    assert len(places) == 2, "without the slot, and without a response for when it is not filled"
    assert "There is no slot" in " ".join(places)
    assert "Problems in: set" in texts(app)
    assert button(app, "Save policy").disabled
    assert "You asked about" in texts(say(app, ALARM)), "the last policy without problems answers"
    long = "x" * 2_001
    checked(widget(app, "text_area", "Responses").set_value(f"Short.\n{long}").run())
    checked(widget(app, "text_input", "Slot").set_value("").run())
    problems = " ".join(item.value for item in app.markdown if ":material/error:" in item.value).replace("\\", "")
    assert "Response 2 must have at most 2,000 characters, received 2,001." in problems
    assert "The name of slot 1 must not be empty." in problems
    assert button(app, "Add follow-up"), "the rest of the editor stays"
    checked(widget(app, "selectbox", "Intent").set_value("weather").run())
    checked(widget(app, "selectbox", "Intent").set_value("set_alarm").run())
    assert widget(app, "text_area", "Responses").value == f"Short.\n{long}", "nothing that was written is lost"
    for _ in range(2):
        checked(button(app, "Undo").click().run())
    assert widget(app, "text_area", "Responses").value == "Alarm at {tim}."
    app = tab(app, "Fallback")
    checked(widget(app, "text_input", "Out of scope").set_value("").run())
    assert "Outside must not be empty" in texts(app)


def test_slots_and_follow_ups_are_added_and_removed() -> None:
    app = open_chat()
    checked(button(app, "Add slot").click().run())
    slots = [item for item in app.text_input if item.label == "Slot"]
    assert slots[-1].value == "slot"
    checked(slots[-1].set_value("tone").run())
    checked([item for item in app.text_input if item.label == "Question"][-1].set_value("Which tone?").run())
    checked([item for item in app.toggle if item.label == "Ask for it"][-1].set_value(True).run())
    checked(button(app, "Add follow-up").click().run())
    checked(widget(app, "selectbox", "After this, the intent").set_value("weather").run())
    say(app, ALARM)
    assert "Which tone" in texts(app)
    draft = next(iter(app.session_state[ChatState.name()].drafts.values()))
    assert draft.used.intents["set_alarm"].follow_ups == {"weather": "set_alarm"}
    checked(button(app, "Add follow-up").click().run())
    second = [item for item in app.selectbox if item.label == "After this, the intent"][1]
    assert "weather" not in second.options, "an intent has one follow-up"
    for _ in range(2):
        checked(button(app, "Remove follow-up").click().run())
    checked(button(app, "Remove", -1).click().run())
    draft = next(iter(app.session_state[ChatState.name()].drafts.values()))
    assert draft.edited == draft.saved


def test_thresholds_are_proposed_on_validation_and_measured_on_test_rows() -> None:
    app = tab(open_chat(), "Fallback")
    checked(widget(app, "multiselect", "Out of scope").set_value(["weather"]).run())
    checked(widget(app, "number_input", "Minimum out-of-scope recall (%)").set_value(90.0).run())
    checked(button(app, "Propose thresholds").click().run())
    table = app.dataframe[0].value
    assert list(table) == ["Figure", "Proposed, validation", "Proposed, test", "Now, validation", "Now, test"]
    assert list(table["Figure"])[-2:] == ["In-scope accuracy", "Out-of-scope recall"]
    [proposed] = app.session_state[ChatState.name()].proposed.values()
    proposal = proposed.report.proposal
    assert proposal.validation.out_of_scope_recall >= 0.9
    checked(button(app, "Use these thresholds").click().run())
    assert widget(app, "number_input", "Confidence").value == proposal.confidence
    assert button(app, "Use these thresholds").disabled


def test_dialogues_are_saved_and_played_against_another_run() -> None:
    app = say(open_chat(), ALARM)
    app = tab(app, "Tests")
    checked(button(app, "Save dialogue").click().run())
    [script] = read_scripts(artifacts().chat.tests(), "saved")
    assert [turn.intent for turn in script.turns] == ["set_alarm"]
    checked(button(app, "Play").click().run())
    assert "1 of 1 dialogues passed" in texts(app)
    other_run = widget(app, "selectbox", "Against the run")
    assert len(other_run.options) == 2
    checked(other_run.set_value(next(label for label in other_run.options if label != other_run.options[0])).run())
    checked(button(app, "Play").click().run())
    assert "0 of 1 dialogues passed" in texts(app)
    assert "expected set_alarm" in app.dataframe[0].value["Difference"][0]
    checked(button(app, "Delete all").click().run())
    assert not artifacts().chat.tests()


def test_a_damaged_policy_is_reported_and_not_used() -> None:
    artifacts().chat.save_policy("{")
    app = unchecked_chat()
    assert "The saved policy is not used" in app.error[0].value
    assert app.chat_input


def test_other_runs_say_why_they_cannot_chat() -> None:
    app = open_chat("digits_mlp")
    assert "reads a text" in app.info[0].value
    assert not app.chat_input
