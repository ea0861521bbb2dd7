"""Predictions for raw rows."""

from __future__ import annotations

from netloom.modalities.row_field import JsonSchema
from netloom.serving.http import Call, Reply, json_reply
from netloom.serving.models.answer_cache import CachedAnswer
from netloom.serving.models.row_parser import rows_of
from netloom.serving.models.served_model import ServedModel
from netloom.serving.route import ServerRoute
from netloom.serving.schemas import answer_schema, json_content, operation, row_schema
from netloom.serving.server_state import ServerState


class Predict(ServerRoute):
    """Takes a row or a list of rows as JSON, CSV, an image, a sound or a text; answers like `netloom predict`."""

    name = "predict"
    paths = ("/predict", "/models/{name}/predict")
    summary = "Predict raw rows: JSON, CSV, an image, a sound or a text"
    order = 10

    async def answer(self, server: ServerState, call: Call) -> Reply:
        deployment, served = server.choose(call)
        key = server.cache.key(served.model.version, self.name, call.content_type, call.body)
        cached = server.cache.get(key)
        if cached is not None:
            call.is_cached = True
            deployment.remember(call.request_id, served)
            call.logged = cached.logged
            server.log_cached(call, deployment.name, served.model)
            return Reply(cached.body)
        file = await rows_of(call, served.model)
        answers = await server.predict(call, deployment, served, file)
        reply = json_reply(answers[0] if file.is_single else answers)
        server.cache.put(key, CachedAnswer(reply.body, call.logged))
        return reply

    def operation(self, model: ServedModel) -> JsonSchema:
        row, answer = row_schema(model), answer_schema(model)
        body = json_content({"anyOf": [row, {"type": "array", "items": row}]}, model.example)
        return operation(body, json_content({"anyOf": [answer, {"type": "array", "items": answer}]}))


class Example(ServerRoute):
    name, paths, method = "example", ("/example", "/models/{name}/example"), "GET"
    summary, order = "A row of the test split, as /predict takes it", 11

    async def answer(self, server: ServerState, call: Call) -> Reply:
        return json_reply(server.deployment(call).current.model.example)

    def operation(self, model: ServedModel) -> JsonSchema:
        return operation(None, json_content(row_schema(model), model.example))
