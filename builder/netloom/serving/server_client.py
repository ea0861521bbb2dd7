"""Changes the versions of the models of a running server: list, reload, roll back, canary and shadow.

An API key that a server needs is that of the setting `server_key`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netloom.core.settings import settings
from netloom.core.text import plain
from netloom.monitoring.http_client import Answer, ask
from netloom.serving.launched import record_run

LOAD_S = 120.0  # a server answers a request to load a run when the network is ready


class ServerRequestError(Exception):
    """A server cannot be reached, lacks a model, or refused a request; the message is one sentence."""


@dataclass(frozen=True)
class VersionState:
    """A version of a model on a server, its run, and the name of the ONNX file that takes the place of its weights; ""
    without one."""

    version: str
    run_id: str
    file: str = ""

    @property
    def comparison_note(self) -> str:
        """What the comparison of the run with another one leaves out, as a sentence; "" if nothing."""
        if not self.file:
            return ""
        return (
            f"The server answers with the file {plain(self.file)[:100]!r} instead of the weights of the run, which are "
            "what is compared. A promoted run answers with its own weights."
        )


@dataclass(frozen=True)
class ModelState:
    """The versions of a model on a server; None for one that does not exist. `canary_percent` is from 0 to 100."""

    name: str
    current: VersionState
    previous: VersionState | None = None
    canary: VersionState | None = None
    canary_percent: float = 0.0
    shadow: VersionState | None = None


class ServerClient:
    """A client of the server at an address. `home` is the data folder, whose record of a launched server follows."""

    def __init__(self, address: str, home: Path) -> None:
        self._address, self._home = address.rstrip("/"), home

    def models(self) -> list[ModelState]:
        """Return the models of the server, the default one first.

        Raises:
            ServerRequestError: the server cannot be reached, or is not a model server.
        """
        answer = self._ask("/models")
        if answer.problem:
            raise ServerRequestError(f"The server did not list its models: {plain(answer.problem)}.")
        return [_model_state(value) for value in (answer.value if isinstance(answer.value, list) else [])]

    def model(self, name: str | None = None) -> ModelState:
        """Return a model of the server; without a name, the default one.

        Raises:
            ServerRequestError: as `models`, or the server lacks it.
        """
        models = self.models()
        model = next((model for model in models if name is None or model.name == name), None)
        if model is None:
            names = ", ".join(model.name for model in models) or "none"
            raise ServerRequestError(f"The server has no model {name!r}; it has {names}.")
        return model

    def check_current(self, name: str | None, run_id: str) -> ModelState:
        """Return a model that a run answers for.

        Raises:
            ServerRequestError: as `model`, or another run answers.
        """
        model = self.model(name)
        if model.current.run_id != run_id:
            raise ServerRequestError(
                f"On the server, the run {model.current.run_id[:8]} answers as {model.name!r}, not {run_id[:8]}; "
                "compare with it."
            )
        return model

    def promote(self, name: str, run_id: str, current_run_id: str) -> ModelState:
        """Let a run answer for a model instead of the run that it was compared with.

        Raises:
            ServerRequestError: as `reload`, or another run answers by now.
        """
        self.check_current(name, current_run_id)
        return self.reload(name, run_id)

    def reload(self, name: str, run_id: str) -> ModelState:
        """Let a run answer for a model from now on.

        Raises:
            ServerRequestError: the server cannot be reached, or refused it.
        """
        return self._change(name, "reload", {"run": run_id}, "load the run")

    def rollback(self, name: str) -> ModelState:
        """Return a model to the version before the last reload.

        Raises:
            ServerRequestError: as `reload`.
        """
        return self._change(name, "rollback", {}, "roll back")

    def set_canary(self, name: str, run_id: str | None, percent: float = 0.0) -> ModelState:
        """Let another run answer a share of the requests, in percent; None ends that.

        Raises:
            ServerRequestError: as `reload`.
        """
        body = {"run": run_id, "percent": percent} if run_id else {"run": None}
        return self._change(name, "canary", body, "change the canary")

    def set_shadow(self, name: str, run_id: str | None) -> ModelState:
        """Let another run compute the requests without answering them; None ends that.

        Raises:
            ServerRequestError: as `reload`.
        """
        return self._change(name, "shadow", {"run": run_id}, "change the shadow")

    def comparison(self, name: str) -> Mapping[str, Any]:
        """Return the answer of `/comparison` for a model.

        Raises:
            ServerRequestError: as `reload`.
        """
        answer = self._ask(f"/models/{name}/comparison")
        if answer.problem or not isinstance(answer.value, dict):
            raise ServerRequestError(f"The server did not compare the versions: {plain(answer.problem)}.")
        return answer.value

    def _change(self, name: str, action: str, body: Mapping[str, Any], words: str) -> ModelState:
        answer = self._ask(f"/models/{name}/{action}", body, LOAD_S)
        if answer.problem:
            raise ServerRequestError(f"The server did not {words}: {plain(answer.problem)}.")
        model = _model_state(answer.value)
        record_run(self._home, self._address, model.current.run_id)
        return model

    def _ask(self, path: str, body: Any = None, timeout_s: float = 5.0) -> Answer:
        headers = {"Authorization": f"Bearer {settings.server_key}"} if settings.server_key else {}
        return ask(f"{self._address}{path}", body, headers=headers, timeout_s=timeout_s)


def _model_state(value: Any) -> ModelState:
    try:
        return ModelState(
            str(value["name"]),
            _version_state(value["current"]),
            _optional_state(value.get("previous")),
            _optional_state(value.get("canary")),
            float(value.get("canary_percent", 0.0)),
            _optional_state(value.get("shadow")),
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        raise ServerRequestError("The address does not answer as a Netloom model server.") from None


def _version_state(value: Any) -> VersionState:
    file = value.get("backend", {}).get("file")  # servers of older versions do not have it
    return VersionState(str(value["version"]), str(value["run"]), str(file or ""))


def _optional_state(value: Any) -> VersionState | None:
    return None if value is None else _version_state(value)
