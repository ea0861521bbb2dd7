"""Explanations of predictions, computed by processes with a low priority, so that predictions do not wait for them."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from netloom.core import log
from netloom.core.errors import DataError, JobError, UsageError
from netloom.explain import ExplainError, Explanation, methods
from netloom.explain.core.prediction import calibrated_prediction
from netloom.jobs.job import Job
from netloom.jobs.loaded_runs import RunWeights
from netloom.jobs.requests.explanations import Attribution
from netloom.jobs.workers.worker_pool import pool
from netloom.modalities.row_field import JsonSchema
from netloom.serving.errors import RequestError
from netloom.serving.http import Call, Reply, json_reply
from netloom.serving.models.row_parser import read_records
from netloom.serving.models.served_model import ServedModel
from netloom.serving.route import ServerRoute
from netloom.serving.schemas import answer_schema, json_content, operation, row_schema
from netloom.serving.server_state import ServerState
from netloom.training.weights.weight_files import CheckpointError

MAX_WAITING = 8
_waiting = 0


class Explain(ServerRoute):
    """Takes `{"row": {...}}` with an optional method, target and options, and answers like `netloom explain --json`."""

    name = "explain"
    paths = ("/explain", "/models/{name}/explain")
    summary = "Explain the prediction for a row, with evidence"
    order = 15

    async def answer(self, server: ServerState, call: Call) -> Reply:
        _, served = server.choose(call)
        model, (request, unreadable) = served.model, await _request(call, served.model)
        explanation = await _compute(server, model, request)
        if explanation.weights != model.explained_weights:
            file = model.backend.file
            changed = f"file {file.name!r} has" if file else f"weights of the run {model.run_id[:8]} have"
            raise RequestError(f"The {changed} changed since the model was loaded; reload the model.", 409)
        # Of the loaded model, as `/predict`, even if the run has got another calibration since
        calibrated = await asyncio.to_thread(calibrated_prediction, model.explained, request.row)
        added = {"calibrated": calibrated, "unreadable": unreadable}
        return json_reply({**explanation.as_json(), **{key: value for key, value in added.items() if value}})

    def operation(self, model: ServedModel) -> JsonSchema:
        names = [method.name for method in methods(model.explained) if method.available]
        properties = {
            "row": row_schema(model),
            "method": {"type": "string", "enum": names},
            "target": {"type": ["string", "integer"], "description": "The class or output; default: the prediction"},
            "options": {"type": "object", "description": "Options of the method"},
        }
        body = {"type": "object", "properties": properties, "required": ["row"]}
        example = {"row": model.example, **({"method": names[0]} if names else {})}
        return operation(json_content(body, example), json_content(_explanation_schema(model)))


def _explanation_schema(model: ServedModel) -> JsonSchema:
    """Return the schema of an explanation; only a calibrated model adds its calibrated prediction."""
    parts = {
        "method": ("string", "The name of the method"),
        "target": ("object", "The explained class or output"),
        "prediction": ("object", "The prediction of the network before calibration, which is explained"),
        "attributions": ("object", "The attribution of each part of the input, by field"),
        "score": ("number", "The explained score of the row"),
        "baseline_score": ("number", "The explained score of the baseline"),
        "proofs": ("object", "The checks of the explanation"),
        "verdict": ("object", "The result of all checks"),
    }
    properties = {name: {"type": kind, "description": description} for name, (kind, description) in parts.items()}
    required = list(properties)
    if model.trained.applied is not None:
        calibrated = {**answer_schema(model), "description": "The calibrated prediction, as /predict returns it"}
        properties, required = {**properties, "calibrated": calibrated}, [*required, "calibrated"]
    return {"type": "object", "properties": properties, "required": required}


async def _request(call: Call, model: ServedModel) -> tuple[Attribution, dict[str, str]]:
    """Return what is asked for, and the cells of the row that cannot be read, by column."""
    body = call.json_object(allow_nan=True)
    row, method, target, options = (body.get(name) for name in ("row", "method", "target", "options"))
    if not isinstance(row, dict):
        raise RequestError('The body needs the key row with an object, such as {"row": {…}}.')
    if method is not None and not isinstance(method, str):
        raise RequestError("The key method must be the name of a method; /openapi.json lists them.")
    if target is not None and not isinstance(target, (str, int)):
        raise RequestError("The key target must be the name of a class or the number of an output.")
    if options is not None and not isinstance(options, dict):
        raise RequestError("The key options must be an object.")
    if not model.run_id:
        raise RequestError("This model does not come from a saved run, and cannot be explained.", 409)
    available = [item.name for item in methods(model.explained) if item.available]
    if not available:
        raise RequestError("No method can explain this network.", 409)
    if method is not None and method not in available:
        raise RequestError(f"The method {method[:60]!r} does not fit; choose one of {', '.join(available)}.")
    file = await read_records(call, row, model)
    if len(file.rows) != 1:
        raise RequestError(f"The key row must hold one row, received {len(file.rows):,}.")
    request = Attribution(_weights(model), method or available[0], file.rows[0], target, options or {})
    return request, file.unreadable[0]


def _weights(model: ServedModel) -> RunWeights:
    checkpoint, file = model.trained.project.training.checkpoint, model.backend.file
    # The hash of the weights is part of the question, so that a worker does not answer with older ones
    written = float(int(model.explained_weights[:12], 16))
    if file is None:
        return RunWeights(model.run_id, checkpoint, written)
    file_written = 0  # of a missing file, which the worker names
    with suppress(OSError):
        file_written = file.stat().st_mtime_ns
    return RunWeights(model.run_id, checkpoint, written, variant_written=file_written, file=str(file.resolve()))


async def _compute(server: ServerState, model: ServedModel, request: Attribution) -> Explanation:
    global _waiting
    if _waiting >= MAX_WAITING:
        raise RequestError(f"{_waiting} explanations wait already; try again later.", 429, 5.0)
    _waiting += 1
    limit_s = server.settings.limits.explain_s
    try:
        job: Job[Explanation] = pool().submit(request, server.home)
        with job.watched():  # if the client leaves, the job is cancelled
            if not await _ended(job, limit_s):
                raise RequestError(
                    f"The explanation takes longer than {limit_s:g} s; choose a faster method.", 503, 60.0
                )
            return job.result()
    except (JobError, CheckpointError, FileNotFoundError) as error:  # not a fault of the request
        log.write_if_possible(server.home / log.ERRORS, "server", explanation=model.name, error=str(error))
        raise RequestError(
            "The explanation could not be computed on this server, whose log has the reason. Try again later.", 503, 5.0
        ) from None
    except (ExplainError, DataError, UsageError) as error:
        raise RequestError(str(error)) from None
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise RequestError(f"The row or an option does not fit the model: {str(error)[:200]}.") from None
    finally:
        _waiting -= 1


async def _ended(job: Job[Explanation], seconds: float) -> bool:
    """Wait for a job without occupying a thread."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not job.ended and loop.time() < end:
        await asyncio.sleep(0.02)
    return job.ended
