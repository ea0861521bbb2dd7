"""The files of a run: their names, and how each is read and written.

An `ArtifactStore` holds the files of all runs, by default one folder per run. `RunArtifacts` has a method for each kind
of file of one run; only it knows their names. It reads and writes documents, code and reports through the store (see
`ArtifactFiles`), so that an object store can replace the folder. Weights, logs and statistics are memory-mapped, linked
or appended to, so they are files of the `local_directory`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from netloom.core import log
from netloom.core.plain_json import JsonObject
from netloom.document import DocumentError, Project, checked, loads
from netloom.document.files import DocumentPathError
from netloom.document.former_names import renamed
from netloom.store.artifact_files import RESTORE, ArtifactFiles
from netloom.store.artifact_store import ArtifactStore, Stamp
from netloom.store.chat_files import ChatFiles
from netloom.store.local_artifacts import LocalArtifactStore

_PROJECT, _SOURCE, _ENVIRONMENT = "project.json", "model.py", "environment.json"
_RECORD, _CURVES, _EVALUATION = "run.json", "curves.json.gz", "evaluation.json"
_PREPROCESS, _DATA_CARD = "preprocess.json", "data_card.json"
_CARD_STATEMENT = "model_card.json"
_TEACHER, _LAYERS, _LAST = "teacher.json", "layers.json", "last.json"
_BEST_WEIGHTS = "best.safetensors"
_CALIBRATION = "calibration.json"
_CALIBRATION_MEASURES = "calibration_measures.json"
_LOG, _WORKER_LOG = "log.jsonl", "worker.log"


class TeacherFacts(TypedDict):
    """The fields that a teacher reads in the order of its arguments, and the scale of its outputs if these are
    probabilities. Teachers from before scales were stored have no `scale`."""

    fields: Sequence[str]
    scale: NotRequired[Sequence[str] | None]


@dataclass(frozen=True)
class RunArtifacts:
    """The files of one run."""

    store: ArtifactStore
    run_id: str

    @classmethod
    def in_directory(cls, directory: Path) -> RunArtifacts:
        """Return the files of the run with this local directory."""
        return cls(LocalArtifactStore(directory.parent), directory.name)

    def create(self) -> None:
        self.store.create(self.run_id)

    def delete(self) -> None:
        """Remove all files, the document first: its absence tells a worker that its run was deleted, and prevents a
        rebuild from restoring the run."""
        self.store.delete(self.run_id, first=_PROJECT)

    def local_directory(self) -> Path:
        """All files as a folder of this machine, for workers and memory mapping."""
        return self.store.local_directory(self.run_id)

    # Document and code

    def project(self) -> Project:
        """Return the frozen document of the run.

        Raises:
            DocumentPathError: it is missing or unreadable.
            DocumentError: it is not a document.
        """
        path = self._files.path(_PROJECT)
        try:
            return loads(self._files.read(_PROJECT))
        except OSError as error:
            raise DocumentPathError(f"{path} cannot be read: {error.strerror or error}. {RESTORE}", path) from None
        except DocumentError as error:
            advice = self._writer() if error.is_newer else RESTORE
            message = f"{path} cannot be read as a document. {error} {advice}".rstrip()
            raise DocumentError(message, error.errors, error.is_newer) from None

    def _writer(self) -> str:
        name = self.environment().get("netloom")
        return f"The run was started with Netloom {name}." if name else ""

    def save_project(self, project: Project) -> None:
        """Save the document of the run.

        Raises:
            DocumentError: it could not be read again; nothing is written.
        """
        self._files.write(_PROJECT, checked(project).encode())

    def project_stamp(self) -> Stamp | None:
        """Return the stamp of the document; None if it does not exist, because the run was deleted."""
        return self._files.stamp(_PROJECT)

    def training_setting(self, name: str) -> Any:
        """Return a training setting of the document without validating the document; None if it is unreadable."""
        try:
            return renamed(self._files.read_json(_PROJECT)["training"], "training").get(name)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def source(self) -> str:
        """Return the generated code of the run.

        Raises:
            DocumentPathError: it is missing or unreadable.
        """
        path = self._files.path(_SOURCE)
        try:
            return self._files.read(_SOURCE).decode()
        except OSError as error:
            reason = error.strerror or error
        except UnicodeDecodeError:
            reason = "it is not UTF-8 text"
        raise DocumentPathError(f"{path} cannot be read: {reason}. {RESTORE}", path)

    def save_source(self, source: str) -> None:
        self._files.write(_SOURCE, source.encode())

    @property
    def source_file(self) -> Path:
        return self._files.path(_SOURCE)

    # Facts about the run outside the database

    def environment(self) -> JsonObject:
        """Return versions, machine and fingerprints; empty if unknown."""
        return self._files.read_object_or_empty(_ENVIRONMENT)

    def save_environment(self, environment: Mapping[str, Any]) -> None:
        self._files.save_json(_ENVIRONMENT, environment, indent=1)

    def record(self) -> JsonObject:
        """Return the last saved copy of the database row; empty if it is missing or unreadable."""
        return self._files.read_object_or_empty(_RECORD)

    def save_record(self, text: str) -> None:
        self._files.write(_RECORD, text.encode())

    def curves(self) -> dict[str, list[Any]]:
        """Return the columns of the points of a run that ended; empty if they are missing or unreadable."""
        try:
            columns = json.loads(gzip.decompress(self._files.read(_CURVES)))
        except (OSError, EOFError, ValueError):
            return {}
        return columns if isinstance(columns, dict) else {}

    def save_curves(self, columns: Mapping[str, Sequence[Any]]) -> None:
        text = json.dumps(columns, separators=(",", ":"))
        # Without the time of compression, so that equal curves give equal bytes
        self._files.write(_CURVES, gzip.compress(text.encode(), 6, mtime=0))

    def evaluation(self) -> JsonObject | None:
        """Return the evaluation as plain JSON; None if the run was not evaluated.

        Raises:
            DamagedArtifactError: it is unreadable.
        """
        return self._files.read_object(_EVALUATION)

    def save_evaluation(self, value: Mapping[str, Any]) -> None:
        self._files.save_json(_EVALUATION, value)

    @property
    def evaluation_file(self) -> Path:
        return self._files.path(_EVALUATION)

    def delete_evaluation(self) -> None:
        self._files.remove(_EVALUATION)

    def calibration(self) -> JsonObject | None:
        """Return the calibration that was chosen for the run, as plain JSON; None if there is none.

        Raises:
            DamagedArtifactError: it is unreadable.
        """
        return self._files.read_object(_CALIBRATION)

    def save_calibration(self, value: Mapping[str, Any]) -> None:
        self._files.save_json(_CALIBRATION, value)

    def delete_calibration(self) -> None:
        self._files.remove(_CALIBRATION)

    @property
    def calibration_file(self) -> Path:
        return self._files.path(_CALIBRATION)

    def calibration_measures(self) -> JsonObject | None:
        """Return the measures of the last calibration, as plain JSON; None if there are none.

        Raises:
            DamagedArtifactError: they are unreadable.
        """
        return self._files.read_object(_CALIBRATION_MEASURES)

    def save_calibration_measures(self, value: Mapping[str, Any]) -> None:
        self._files.save_json(_CALIBRATION_MEASURES, value)

    def calibration_stamp(self) -> Stamp | None:
        """Return the stamp of the calibration; None if there is none."""
        return self._files.stamp(_CALIBRATION)

    @property
    def chat(self) -> ChatFiles:
        """The files of the chat with the run."""
        return ChatFiles(self._files)

    def log_event(self, event: str, **values: Any) -> None:
        """Append a line to the log of the run.

        Raises:
            OSError: it cannot be written.
        """
        log.write(self._files.path(_LOG), event, **values)

    def events(self) -> list[JsonObject]:
        """Return the lines of the log, without incomplete lines from a power failure."""
        try:
            lines = self._files.read(_LOG).decode(errors="replace").splitlines()
        except OSError:
            return []
        events = []
        for line in lines:
            with suppress(ValueError):
                events.append(json.loads(line))
        return [event for event in events if isinstance(event, dict)]

    @property
    def worker_log(self) -> Path:
        """The output of the worker."""
        return self._files.path(_WORKER_LOG)

    # Data

    def preprocess(self) -> JsonObject | None:
        """Return the preprocessing that was fitted on the training rows, as plain JSON; None if it was not saved.

        Raises:
            DamagedArtifactError: it is unreadable.
        """
        return self._files.read_object(_PREPROCESS)

    @property
    def preprocess_file(self) -> Path:
        return self._files.path(_PREPROCESS)

    def save_preprocess(self, value: Mapping[str, object]) -> None:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        self._files.write(_PREPROCESS, text.encode())

    def save_data_card(self, value: Mapping[str, Any]) -> None:
        text = json.dumps(value, indent=1, ensure_ascii=False, default=str)
        self._files.write(_DATA_CARD, text.encode())

    def data_card(self) -> JsonObject:
        """Return the card of the data; empty if it is missing or unreadable."""
        return self._files.read_object_or_empty(_DATA_CARD)

    def card_statement(self) -> JsonObject:
        """Return the parts of the model card that a person wrote; empty if there are none."""
        return self._files.read_object_or_empty(_CARD_STATEMENT)

    def save_card_statement(self, value: Mapping[str, str]) -> None:
        self._files.save_json(_CARD_STATEMENT, value, indent=1)

    # Weights

    @property
    def best_weights(self) -> Path:
        """The best weights on the validation rows."""
        return self._files.path(_BEST_WEIGHTS)

    @property
    def start_weights(self) -> Path:
        """The initial weights of the run, unless they are random."""
        return self._files.path("start.safetensors")

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self._files.path("checkpoints")

    @property
    def snapshots(self) -> Path:
        """The folder of the weights that were saved after some epochs."""
        return self._files.path("kept")

    def last_checkpoint(self) -> JsonObject | None:
        """Return the pointer to the last checkpoint, as plain JSON; None if there is none.

        Raises:
            DamagedArtifactError: it is unreadable.
        """
        return self._files.read_object(_LAST)

    def save_last_checkpoint(self, value: Mapping[str, Any]) -> None:
        self._files.save_json(_LAST, value)

    @property
    def last_checkpoint_file(self) -> Path:
        return self._files.path(_LAST)

    def weights_written_at(self) -> float:
        """Return when the best or last weights were written, in seconds since 1970; 0 if there are none."""
        stamps = [self._files.stamp(name) for name in (_BEST_WEIGHTS, _LAST)]
        return max((stamp.modified_ns / 1e9 for stamp in stamps if stamp), default=0.0)

    def stored_weights(self) -> list[str]:
        """Return which of "best" and "last" exist."""
        return [name for name, file in (("best", _BEST_WEIGHTS), ("last", _LAST)) if self._files.stamp(file)]

    def default_weights(self) -> str:
        """Return which of the stored weights predict by default, "best" or "last"; "" if there are none."""
        stored, preferred = self.stored_weights(), self.project().training.checkpoint
        return preferred if preferred in stored else next(iter(stored), "")

    # The teacher of a distillation

    @property
    def teacher_weights(self) -> Path:
        return self._files.path("teacher.safetensors")

    @property
    def teacher_source(self) -> Path:
        return self._files.path("teacher.py")

    def teacher(self) -> TeacherFacts:
        """Return the facts about the teacher other than its weights and code."""
        value: TeacherFacts = self._files.read_json(_TEACHER)
        return value

    def save_teacher(self, value: TeacherFacts) -> None:
        self._files.save_json(_TEACHER, value)

    # Observations during training

    def layer_statistics_header(self) -> bytes | None:
        """Return the description of a record of the layer statistics, as JSON; None if there are none."""
        return self._files.read_if_exists(_LAYERS)

    def save_layer_statistics_header(self, text: bytes) -> None:
        self._files.write(_LAYERS, text)

    @property
    def layer_statistics(self) -> Path:
        """The file of the records of the layer statistics."""
        return self._files.path("layers.bin")

    @property
    def predictions(self) -> Path:
        """The predictions of the network for a few rows after each epoch."""
        return self._files.path("samples.jsonl")

    # Results computed from a run later

    @property
    def explanations(self) -> Path:
        """The folder of computed explanations."""
        return self._files.path("explanations")

    def export_file(self, name: str) -> Path:
        """Return the file of an export that can be downloaded."""
        return self._files.path(name)

    # Files of processes

    @property
    def reserve(self) -> Path:
        """A file that reserves some disk space, which is released when the disk is full."""
        return self._files.path(".reserve")

    @property
    def ray(self) -> Path:
        """The folder of the state of Ray."""
        return self._files.path("ray")

    def remove_partial_files(self) -> None:
        """Remove incomplete files of a process that was killed while writing."""
        directory = self.local_directory()
        for path in (*directory.glob(".writing-*"), *directory.glob("*/.writing-*")):
            path.unlink(missing_ok=True)

    @property
    def _files(self) -> ArtifactFiles:
        return ArtifactFiles(self.store, self.run_id)
