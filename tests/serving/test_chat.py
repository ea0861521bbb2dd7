"""POST /chat: sessions, their limits, hand-over, reloads, and models that cannot chat."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from netloom.chat import Policy, Writers, dumps, save_policy, starting_policy
from netloom.chat.policy import Fallback, Generation, IntentPolicy, Slot
from netloom.chat.understanding import MAX_LETTERS
from netloom.runs import TrainedRun, load_run, start
from netloom.serving.chat_sessions import MAX_WAITING, ChatSessions
from netloom.serving.errors import RequestError
from netloom.serving.models.response_queue import ResponseQueue
from netloom.serving.models.served_model import ServedModel
from netloom.serving.server_settings import Limits, ServerSettings
from netloom.store import open_store
from netloom.templates import templates
from tests.runs.examples import trained_here
from tests.serving.asgi import Application, run_apart
from tests.serving.conftest import Reply, Runs

ALARM, TRIP = "wake me at seven tomorrow", "book a flight"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chat")


@pytest.fixture(scope="module")
def assistant(home: Path) -> TrainedRun:
    """A saved run of the template of intents and entities, trained until it reads its own training texts."""
    project, store = templates()["commands_joint"].project, open_store(home)
    training = project.training.model_copy(update={"epochs": 6, "device": "cpu"})
    project = project.model_copy(update={"training": training})
    with trained_here():
        run_id = start(store, store.create_project(project), project)
    return load_run(store, run_id)


def policy_for(trained: TrainedRun, **fallback: Any) -> Policy:
    start = starting_policy(trained.data.schema)
    slots = (Slot(name="place", question="Where to?", entities=("place",)),)
    intents = start.intents | {
        "book_travel": IntentPolicy(responses=("Booked a trip to {place}.",), slots=slots),
        "send_message": IntentPolicy(responses=("A person will send it.",), hand_over=True),
    }
    settings = {"confidence": 0.7, "confirm_from": 0.7, "ambiguity": 0.0, **fallback}
    return Policy(intents=intents, fallback=Fallback(**settings), greeting="Hello!")


@pytest.fixture
def application(assistant: TrainedRun, tmp_path: Path) -> Application:
    return with_policy(Application(tmp_path, assistant), assistant)


def with_policy(application: Application, trained: TrainedRun, **fallback: Any) -> Application:
    """Let a version with a policy answer, as after a reload."""
    model = ServedModel("model", trained, policy=policy_for(trained, **fallback))
    application.state.deployments["model"].replace(model)
    return application


def say(application: Application, message: str | None, session: str = "", **headers: str) -> Reply:
    body = {"message": message} if message is not None else {}
    return application.post("/chat", json.dumps(body | ({"session": session} if session else {})).encode(), **headers)


def access_log(application: Application) -> list[dict[str, Any]]:
    return [json.loads(line) for line in application.gateway.access_log.path.read_text().splitlines()]


def test_a_session_keeps_slots_and_context(application: Application) -> None:
    first = say(application, ALARM)
    assert first.status == 200
    assert (first.value["intent"], first.value["slots"]["time"]) == ("set_alarm", "seven")
    assert first.value["entities"][0]["kind"] == "time"
    session = first.value["session"]
    second = say(application, TRIP, session).value
    assert (second["event"], second["response"], second["slots"]["time"]) == ("ask_slot", "Where to?", "seven")
    third = application.post("/models/model/chat", json.dumps({"message": "to rome", "session": session}).encode())
    assert third.value["response"] == "Booked a trip to rome."
    assert say(application, TRIP).value["slots"] == {}, "another session"


def test_answers_are_those_of_the_app_and_fit_the_schema(application: Application, assistant: TrainedRun) -> None:
    from netloom.chat import Dialogue, understand

    reply = say(application, ALARM)
    (understanding,) = understand(assistant, [ALARM])
    turn = Dialogue(policy_for(assistant)).respond(understanding)
    assert reply.value["confidence"] == turn.confidence
    assert (reply.value["response"], reply.value["slots"]) == (turn.response, turn.slots)
    document = run_apart(application.ask("GET", "/openapi.json")).value
    content = document["paths"]["/chat"]["post"]["responses"]["200"]["content"]["application/json"]
    for value in (reply.value, say(application, None).value):
        jsonschema.validate(value, content["schema"])
    assert document["paths"]["/models/model/chat"]["post"]["requestBody"]["required"]


def test_a_new_session_without_a_message_is_greeted(application: Application) -> None:
    greeted = say(application, None).value
    assert (greeted["response"], greeted["event"]) == ("Hello!", "greeting")
    assert say(application, ALARM, greeted["session"]).value["intent"] == "set_alarm"


def test_hand_over_is_an_event_of_the_answer_the_log_and_the_metrics(application: Application) -> None:
    session = say(application, "zzz").value["session"]
    events = [say(application, "qqq", session).value for _ in range(3)]
    assert [value["event"] for value in events] == ["rephrase", "hand_over", "hand_over"]
    assert [value["handed_over"] for value in events] == [False, True, True]
    assert [line["event"] for line in access_log(application)] == ["rephrase", "rephrase", "hand_over", "hand_over"]
    assert {line["session"] for line in access_log(application)} == {session}
    assert not any("qqq" in json.dumps(line) for line in access_log(application)), "messages are not logged"
    text = run_apart(application.ask("GET", "/metrics")).body.decode()
    assert 'netloom_chat_turns_total{model="model",event="hand_over"} 2' in text


def test_the_policy_of_the_run_answers_and_a_reload_keeps_sessions(
    home: Path, assistant: TrainedRun, tmp_path: Path
) -> None:
    assert assistant.run is not None
    application = with_policy(Application(tmp_path, assistant), assistant)
    application.state.home = home
    session = say(application, TRIP).value["session"]
    files = open_store(home).artifacts(assistant.run.id)
    policy = policy_for(assistant)
    slots = policy.intents["book_travel"].slots
    other = IntentPolicy(responses=("To {place}, right?",), slots=slots)
    save_policy(
        open_store(home),
        assistant.run.id,
        policy.model_copy(update={"intents": policy.intents | {"book_travel": other}}),
        assistant.data.schema,
    )
    try:
        assert application.post("/reload", json.dumps({"run": assistant.run.id}).encode()).status == 200
        assert say(application, "to rome", session).value["response"] == "To rome, right?"
        files.chat.save_policy("{}")
        refused = application.post("/reload", json.dumps({"run": assistant.run.id}).encode())
        assert refused.status == 400
        assert "chat_policy.json: intents is required" in refused.value["error"]
        assert say(application, ALARM, session).status == 200, "the version before goes on"
    finally:
        files.chat.delete_policy()


def test_a_session_stays_with_the_canary_that_began_it(application: Application, assistant: TrainedRun) -> None:
    deployment = application.state.deployments["model"]
    session = say(application, ALARM).value["session"]
    other = ServedModel("model", assistant)
    other.version = "canary"
    deployment.set_canary(other, 1.0)
    begun = say(application, ALARM)
    assert begun.headers["netloom-model"] == "model/canary"
    deployment.set_canary(other, 0.0)
    assert say(application, ALARM, begun.value["session"]).headers["netloom-model"] == "model/canary"
    assert say(application, ALARM, session).headers["netloom-model"] != "model/canary"
    deployment.replace(other)
    assert say(application, ALARM, session).headers["netloom-model"] == "model/canary"
    deployment.rollback()
    assert deployment.canary is None
    assert say(application, ALARM, session).headers["netloom-model"] != "model/canary", "nothing of it goes on"
    deployment.set_canary(None)
    assert say(application, ALARM, begun.value["session"]).status == 200, "the current version goes on"


def test_messages_are_data(application: Application) -> None:
    """A message is never a template, and JSON escapes it."""
    text = "wake me at {place} <script>alert(1)</script> {{7*7}} tomorrow"
    reply = say(application, text)
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    note = IntentPolicy(responses=("Noted: {text}",), slots=(Slot(name="text", question="What?"),))
    policy = policy_for(application.model.trained)
    policy = policy.model_copy(update={"intents": policy.intents | {"set_alarm": note}})
    model = ServedModel("model", application.model.trained, policy=policy)
    application.state.deployments["model"].replace(model)
    session = say(application, ALARM).value["session"]
    assert say(application, "{text} {place}", session).value["response"] == "Noted: {text} {place}"


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"message": ""}, 400, "needs the key message"),
        ({"message": 7}, 400, "needs the key message"),
        ({"session": "x"}, 400, "needs the key message"),
        ({"message": "a", "session": 1}, 400, "The key session"),
        ({"message": "a", "session": "x" * 999}, 404, "leave out the key session"),
        ({"message": "a" * (MAX_LETTERS + 1)}, 413, f"{MAX_LETTERS:,}"),
        (["a"], 400, "JSON object"),
        ({"message": "a", "sesion": "x"}, 400, "unknown key 'sesion'; choose from message, session."),
    ],
)
def test_invalid_requests_are_refused(application: Application, body: Any, status: int, message: str) -> None:
    reply = application.post("/chat", json.dumps(body).encode())
    assert reply.status == status
    assert message in reply.value["error"]
    assert len(application.state.chats) == 0


def test_a_model_of_entities_alone_answers_each_message_without_an_intent(home: Path, tmp_path: Path) -> None:
    project, store = templates()["requests_tagger"].project, open_store(home)
    training = project.training.model_copy(update={"epochs": 2, "device": "cpu"})
    project = project.model_copy(update={"training": training})
    with trained_here():
        trained = load_run(store, start(store, store.create_project(project), project))
    application = Application(tmp_path, trained)
    reply = say(application, "book a table in rome tomorrow").value
    assert (reply["intent"], reply["confidence"], reply["ranking"]) == ("", None, [])
    assert reply["slots"]["place"] == "rome"
    assert {"kind": "place", "text": "rome", "first": 4, "last": 4} in reply["entities"]
    document = run_apart(application.ask("GET", "/openapi.json")).value
    content = document["paths"]["/chat"]["post"]["responses"]["200"]["content"]["application/json"]
    jsonschema.validate(reply, content["schema"])


@pytest.fixture(scope="module")
def writer(home: Path) -> TrainedRun:
    """A run of a language model that was not trained."""
    project, store = templates()["tales_gpt"].project, open_store(home)
    training = project.training.model_copy(update={"epochs": 0, "device": "cpu"})
    project = project.model_copy(update={"training": training})
    with trained_here():
        return load_run(store, start(store, store.create_project(project), project))


def test_a_language_model_generates_the_response_to_each_message(writer: TrainedRun, tmp_path: Path) -> None:
    application = Application(tmp_path, writer, ServerSettings(limits=Limits(responses=0)))
    assert say(application, "the king").status == 429
    assert len(application.state.chats) == 0, "a session that nobody knows does not stay open"
    application = Application(tmp_path, writer)
    first, again = (say(application, "the king").value for _ in range(2))
    assert (first["generated"], first["intent"], first["confidence"]) == (True, "", None)
    assert first["response"] == again["response"] == Writers(writer, load_nothing).write(Generation(), "the king")


def load_nothing(run: str) -> TrainedRun:
    raise AssertionError(run)


def test_a_policy_generates_responses_by_another_run_or_refuses_it_in_words(
    home: Path, assistant: TrainedRun, writer: TrainedRun, tmp_path: Path
) -> None:
    assert assistant.run is not None
    assert writer.run is not None
    application = Application(tmp_path, assistant)
    application.state.home = home
    generation = Generation(run=writer.run.id, temperature=0, length=12)
    policy = policy_for(assistant, generate=Generation(run=writer.run.id[:8], seed=5, length=7))
    alarm = IntentPolicy(generate=generation)
    policy = policy.model_copy(update={"intents": policy.intents | {"set_alarm": alarm}})
    files, reload = open_store(home).artifacts(assistant.run.id), json.dumps({"run": assistant.run.id}).encode()
    expected = Writers(writer, load_nothing)
    try:
        save_policy(open_store(home), assistant.run.id, policy, assistant.data.schema)
        assert application.post("/reload", reload).status == 200
        reply = say(application, ALARM).value
        own = generation.model_copy(update={"run": ""})
        assert (reply["event"], reply["generated"]) == ("reply", True)
        assert reply["response"] == expected.write(own, ALARM)
        lost = say(application, "zzz").value
        assert (lost["event"], lost["generated"]) == ("rephrase", True)
        assert lost["response"] == expected.write(Generation(seed=5, length=7), "zzz")
        asked = say(application, TRIP).value
        assert (asked["event"], asked["generated"]) == ("ask_slot", False)
        for run, reason in (
            ("last", "name the run by its id"),
            ("0000", "there is no run '0000'"),
            (assistant.run.id, "does not generate texts"),
        ):
            other = IntentPolicy(generate=Generation(run=run))
            intents = policy.intents | {"set_alarm": other}
            files.chat.save_policy(dumps(policy.model_copy(update={"intents": intents})))
            refused = application.post("/reload", reload)
            assert refused.status == 400
            assert reason in refused.value["error"]
    finally:
        files.chat.delete_policy()


def test_turns_without_a_generated_response_do_not_wait_for_those_with_one(
    assistant: TrainedRun, tmp_path: Path
) -> None:
    application = Application(tmp_path, assistant, ServerSettings(cache_bytes=0, limits=Limits(responses=0)))
    policy = policy_for(assistant)
    intents = policy.intents | {"set_alarm": IntentPolicy(generate=Generation(run="a"))}
    model = ServedModel("model", assistant, policy=policy.model_copy(update={"intents": intents}))
    application.state.deployments["model"].replace(model)
    assert say(application, ALARM).status == 429
    asked = say(application, TRIP).value
    assert asked["event"] == "ask_slot"
    assert say(application, "to rome", asked["session"]).value["response"] == "Booked a trip to rome."
    assert say(application, "zzz").value["event"] == "rephrase"


def test_messages_that_wait_in_a_session_are_bounded(application: Application) -> None:
    session_id = say(application, ALARM).value["session"]
    session = application.state.chats.find(session_id, "model", "")
    body = json.dumps({"message": TRIP, "session": session_id}).encode()

    async def turn() -> None:
        async with session.turn():
            pass

    async def busy() -> Reply:
        async with session.lock:  # an earlier message is being answered
            waiting = [asyncio.create_task(turn()) for _ in range(MAX_WAITING)]
            while session.waiting < MAX_WAITING:
                await asyncio.sleep(0)
            refused = await application.ask("POST", "/chat", body)
        await asyncio.gather(*waiting)
        return refused

    refused = run_apart(asyncio.wait_for(busy(), 60))
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert "already has 4 waiting messages" in refused.value["error"]
    assert session.waiting == 0
    assert say(application, TRIP, session_id).value["event"] == "ask_slot", "the session goes on"


def test_a_message_that_waits_too_long_in_a_session_is_refused(assistant: TrainedRun, tmp_path: Path) -> None:
    limits = Limits(answer_s=2.0)  # also of the prediction, which must not be late
    application = with_policy(Application(tmp_path, assistant, ServerSettings(limits=limits)), assistant)
    session_id = say(application, TRIP).value["session"]
    session = application.state.chats.find(session_id, "model", "")
    body = json.dumps({"message": TRIP, "session": session_id}).encode()

    async def busy() -> Reply:
        async with session.lock:
            return await application.ask("POST", "/chat", body)

    late = run_apart(asyncio.wait_for(busy(), 60))
    assert late.status == 503
    assert "took longer than 2 s" in late.value["error"]
    assert session.waiting == 0


def test_responses_that_are_generated_are_bounded() -> None:
    async def too_many() -> None:
        queue, go_on = ResponseQueue(1, 30), threading.Event()
        first = asyncio.create_task(queue.run(go_on.wait))
        await asyncio.sleep(0)  # the task begins, and its response counts
        with pytest.raises(RequestError, match="as many as this server allows") as refused:
            await queue.run(lambda: None)
        assert refused.value.status == 429
        go_on.set()
        assert await first
        assert await queue.run(lambda: "next") == "next"

    run_apart(too_many())


def test_a_response_that_takes_too_long_is_refused() -> None:
    async def too_long() -> None:
        go_on = threading.Event()
        try:
            with pytest.raises(RequestError, match=r"took longer than 0\.05 s") as late:
                await ResponseQueue(1, 0.05).run(go_on.wait)
        finally:
            go_on.set()
        assert late.value.status == 503

    run_apart(too_long())


def test_models_without_intents_refuse_in_words(runs: Runs, tmp_path: Path) -> None:
    reply = say(Application(tmp_path, runs.trained), "hello")
    assert reply.status == 409
    assert "cannot chat. A chat needs a network that reads a text" in reply.value["error"]


def test_too_many_sessions_are_refused_with_a_time_to_return(assistant: TrainedRun, tmp_path: Path) -> None:
    settings = ServerSettings(cache_bytes=0, limits=Limits(chats=2))
    application = Application(tmp_path, assistant, settings)
    sessions = [say(application, ALARM).value["session"] for _ in range(2)]
    refused = say(application, ALARM)
    assert (refused.status, int(refused.headers["retry-after"]) > 1_000) == (429, True)
    assert say(application, ALARM, sessions[0]).status == 200, "open dialogues go on"


def test_sessions_expire_and_belong_to_one_key_and_model() -> None:
    now = [0.0]
    chats = ChatSessions(2, 60.0, lambda: now[0])
    first, _ = chats.start("model", "1", "ann")
    now[0] = 50.0
    second, _ = chats.start("model", "1", "ann")
    with pytest.raises(RequestError) as refusal:
        chats.start("model", "1", "ann")
    assert refusal.value.retry_after_s == 10.0
    assert chats.find(first, "model", "ann").used == 50.0, "it was used"
    for model, owner in (("other", "ann"), ("model", "eve"), ("model", "")):
        with pytest.raises(RequestError, match="does not exist"):
            chats.find(first, model, owner)
    now[0] = 111.0
    assert len(chats) == 0
    with pytest.raises(RequestError, match="60 seconds without a message"):
        chats.find(second, "model", "ann")
