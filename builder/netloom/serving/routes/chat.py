"""Dialogues with a model that classifies, tags or generates texts, by the response policy of its run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, NoReturn, get_args

from netloom.chat import Dialogue, Policy
from netloom.chat.dialogue import Answered, Event
from netloom.chat.policy import Generation
from netloom.chat.understanding import MAX_LETTERS, Understanding, message_row, read_answer
from netloom.data.tables.raw_rows import RowFile
from netloom.modalities.row_field import JsonSchema
from netloom.runs.prediction.text_generation import generates_text
from netloom.serving.chat_sessions import ChatSession
from netloom.serving.deployment import Deployment, Served
from netloom.serving.errors import RequestError
from netloom.serving.http import Call, Reply, json_reply
from netloom.serving.models.served_model import ServedModel
from netloom.serving.route import ServerRoute
from netloom.serving.schemas import json_content, operation
from netloom.serving.server_state import ServerState

GREETING = "greeting"
_TEXT = {"type": "string"}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}


class Chat(ServerRoute):
    """Takes `{"message": TEXT}`, and from the second message on the session of the first answer.

    Without a message, a new session begins with the greeting of the policy.
    """

    name = "chat"
    paths = ("/chat", "/models/{name}/chat")
    summary = "Answer a message in a dialogue by the response policy of the run"
    order = 12

    async def answer(self, server: ServerState, call: Call) -> Reply:
        message, session_id = _request(call.json_object("message", "session"))
        deployment = server.deployment(call)
        session = server.chats.find(session_id, deployment.name, call.key) if session_id else None
        served = _served(deployment, session)
        model, call.version = served.model, served.model.title
        policy = model.chat_policy
        if policy is None:
            raise RequestError(f"The model {model.name!r} cannot chat. {model.chat_obstacle}", 409)
        if session is None:
            server.chats.check_room()  # before anything is computed
        else:
            session.check_room()
        understanding = await _understood(server, call, deployment, served, message) if message else None
        is_new = session is None
        if session is None:
            session_id, session = server.chats.start(deployment.name, model.version, call.key)
        try:
            value = await _turn_in_time(server, model, policy, session, understanding)
        except BaseException:  # the client does not get the id of a new session
            if is_new:
                server.chats.end(session_id)
            raise
        session.version = model.version
        call.details = {"session": session_id, "event": value["event"]}
        server.metrics.observe_turn(deployment.name, value["event"])
        return json_reply({"session": session_id, **value})

    def operation(self, model: ServedModel) -> JsonSchema:
        message = {**_TEXT, "maxLength": MAX_LETTERS, "description": "A message; only a new session can be without one"}
        session = {**_TEXT, "description": "The session of an earlier answer; without it, a new one begins"}
        body = {"type": "object", "properties": {"message": message, "session": session}}
        return operation(json_content(body, {"message": "Hello"}), json_content(_answer_schema()))


def _request(body: dict[str, Any]) -> tuple[str, str]:
    """Return the message and the session; "" where there is none.

    Raises:
        RequestError: a key has another type, or both are missing where one is needed.
    """
    message, session = body.get("message"), body.get("session")
    if session is not None and not isinstance(session, str):
        raise RequestError("The key session must be the session of an earlier answer, a text.")
    if message is None and not session:
        return "", ""
    if not isinstance(message, str) or not message.strip():
        raise RequestError('The body needs the key message with a text, such as {"message": "Hello"}.')
    return message.strip(), session or ""


def _served(deployment: Deployment, session: ChatSession | None) -> Served:
    """Return the version that answers: a session that began with the canary stays with it, others with the current."""
    if session is None:
        return deployment.choose()
    canary = deployment.canary
    return canary if canary is not None and canary.model.version == session.version else deployment.current


async def _understood(
    server: ServerState, call: Call, deployment: Deployment, served: Served, message: str
) -> Understanding:
    """Return what the model reads from a message, which is computed in a batch like other rows.

    Raises:
        RequestError: the message is too long, or the server is too busy.
    """
    trained = served.model.trained
    try:
        row = message_row(trained, message)
    except ValueError as error:
        raise RequestError(str(error), 413) from None
    if generates_text(trained.data.schema):
        return Understanding(message, ())
    [answer] = await server.predict(call, deployment, served, RowFile([row]))
    return read_answer(trained, message, answer)


async def _turn_in_time(
    server: ServerState, model: ServedModel, policy: Policy, session: ChatSession, understanding: Understanding | None
) -> dict[str, Any]:
    """Return the answer of `_turn`, after the earlier messages of the session.

    Raises:
        RequestError: too many messages of the session wait, or the answer is not there in time.
    """
    limit = server.settings.limits.answer_s
    try:
        async with asyncio.timeout(limit), session.turn():
            return await _turn(server, model, policy, session, understanding)
    except TimeoutError:
        raise RequestError(f"The answer took longer than {limit:g} s; try again later.", 503, limit) from None


class _NeedsRun(Exception):  # noqa: N818 (a signal, not an error)
    """A run generates the response of a turn."""


def _later(generation: Generation, message: str, earlier: Sequence[Answered]) -> NoReturn:
    raise _NeedsRun


async def _turn(
    server: ServerState, model: ServedModel, policy: Policy, session: ChatSession, understanding: Understanding | None
) -> dict[str, Any]:
    """Return the answer to a message, or to the beginning of a session, and change the state of the session.

    Raises:
        RequestError: the response cannot be generated, or not in time.
    """
    if understanding is None:
        return {"response": policy.greeting, "event": GREETING, "handed_over": False}
    dialogue = Dialogue(policy, session.state, _later)  # most turns do not have to wait for the responses of others
    try:
        turn = dialogue.respond(understanding)
    except _NeedsRun:
        dialogue = Dialogue(policy, session.state, model.writers.write)
        turn = await server.responses.run(partial(dialogue.respond, understanding))
    session.state = dialogue.state
    return {
        "response": turn.response,
        "event": turn.event,
        "generated": turn.generated,
        "handed_over": session.state.handed_over,
        "intent": turn.intent,
        "confidence": turn.confidence,
        "slots": turn.slots,
        "ranking": [{"intent": name, "confidence": share} for name, share in understanding.ranking],
        "entities": [asdict(entity) for entity in understanding.entities],
        "labels": [asdict(label) for label in understanding.labels],
    }


def _answer_schema() -> JsonSchema:
    ranked = {"type": "object", "properties": {"intent": _TEXT, "confidence": _SHARE}}
    word_index = {"type": "integer", "description": "The index of a word"}
    entity = {"type": "object", "properties": {"kind": _TEXT, "text": _TEXT, "first": word_index, "last": word_index}}
    label = {
        "type": "object",
        "properties": {"name": _TEXT, "value": _TEXT, "confidence": {**_SHARE, "type": ["number", "null"]}},
    }
    return {
        "type": "object",
        "properties": {
            "session": {**_TEXT, "description": "To be sent with the next message"},
            "response": _TEXT,
            "event": {**_TEXT, "enum": [GREETING, *get_args(Event)]},
            "generated": {"type": "boolean", "description": "Whether a run generated the response"},
            "handed_over": {"type": "boolean", "description": "Whether a person has to take over the dialogue"},
            "intent": {**_TEXT, "description": 'The accepted intent; "" without one'},
            "confidence": {
                **_SHARE,
                "type": ["number", "null"],
                "description": "The probability of the most likely intent; null for a model without intents",
            },
            "slots": {"type": "object", "additionalProperties": _TEXT},
            "ranking": {"type": "array", "items": ranked},
            "entities": {"type": "array", "items": entity},
            "labels": {"type": "array", "items": label, "description": "Other outputs, such as the sentiment"},
        },
        "required": ["session", "response", "event", "handed_over"],
    }
