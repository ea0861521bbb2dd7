"""The files of a run: their names, and how each is read and written.

An `ArtifactStore` holds the files of all runs, by default one folder per run. `RunArtifacts` has a method for each kind
of file of one run; only it knows their names. It reads and writes documents, code and reports through the store, so
that an object store can replace the folder. Weights, logs and statistics are memory-mapped, linked or appended to, so
they are files of the `local_directory`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, Protocol, TypedDict

from netloom.core import log
from netloom.core.plain_json import JsonObject
from netloom.document import Project, checked, loads
from netloom.document.files import DocumentPathError
from netloom.store.local_artifacts import LocalArtifactStore

_PROJECT, _SOURCE, _ENVIRONMENT = "project.json", "model.py", "environment.json"
_RECORD, _CURVES, _EVALUATION = "run.json", "curves.json.gz", "evaluation.json"
_PREPROCESS, _DATA_CARD = "preprocess.json", "data_card.json"
_CARD_STATEMENT = "model_card.json"
_TEACHER, _LAYERS, _LAST = "teacher.json", "layers.json", "last.json"
_BEST_WEIGHTS = "best.safetensors"
_CALIBRATION = "calibration.json"
_CALIBRATION_MEASURES = "calibration_measures.json"
_CHAT_POLICY, _CHAT_TESTS = "chat_policy.json", "chat_tests.csv"
_LOG, _WORKER_LOG = "log.jsonl", "worker.log"


class Stamp(NamedTuple):
    """A value that changes whenever a file is written."""

    modified_ns: int
    size: int


class ArtifactStore(Protocol):
    """The files of runs. A name is the path of a file below its run, with "/" between folders.

    Methods that read raise `FileNotFoundError` for a missing file, and `OSError` for an unreadable one.
    """

    @property
    def location(self) -> str:
        """The location of the files, for display."""
        ...

    def run_ids(self) -> list[str]:
        """Return the runs that have files, in alphabetical order."""
        ...

    def create(self, run_id: str) -> None:
        """Prepare storage for the files of a new run."""
        ...

    def delete(self, run_id: str, *, first: str) -> None:
        """Remove all files of a run, the file `first` before the others."""
        ...

    def read(self, run_id: str, name: str) -> bytes:
        """Return the content of a file."""
        ...

    def write(self, run_id: str, name: str, content: bytes) -> None:
        """Write a file atomically: a reader gets the old or the new content, never a mixture.

        Raises:
            OSError: it cannot be written, or the run was deleted.
        """
        ...

    def remove(self, run_id: str, name: str) -> None:
        """Remove a file if it exists."""
        ...

    def stamp(self, run_id: str, name: str) -> tuple[int, int] | None:
        """Return the modification time of a file in nanoseconds since 1970, and its size in bytes; None if it does not
        exist."""
        ...

    def local_directory(self, run_id: str) -> Path:
        """Return the files of a run as a folder of this machine."""
        ...


class TeacherFacts(TypedDict):
    """The fields that a teacher reads in the order of its arguments, and the scale of its outputs if these are
    probabilities. Teachers from before scales were stored have no `scale`."""

    fields: Sequence[str]
    scale: NotRequired[Sequence[str] | None]


class DamagedArtifactError(ValueError):
    """A file of a run is unreadable; `path` names it."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"The file {path} is damaged.")
        self.path = path


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
        try:
            content = self.store.read(self.run_id, _PROJECT)
        except OSError as error:
            raise DocumentPathError(f"{self._path(_PROJECT)} cannot be read: {error.strerror or error}.") from None
        return loads(content)

    def save_project(self, project: Project) -> None:
        """Save the document of the run.

        Raises:
            DocumentError: it could not be read again; nothing is written.
        """
        self.store.write(self.run_id, _PROJECT, checked(project).encode())

    def project_stamp(self) -> Stamp | None:
        """Return the stamp of the document; None if it does not exist, because the run was deleted."""
        return self._stamp(_PROJECT)

    def training_setting(self, name: str) -> Any:
        """Return a training setting of the document without validating the document; None if it is unreadable."""
        try:
            return self._json(_PROJECT)["training"].get(name)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def source(self) -> str:
        """Return the generated code of the run.

        Raises:
            FileNotFoundError: it does not exist.
        """
        return self.store.read(self.run_id, _SOURCE).decode()

    def save_source(self, source: str) -> None:
        self.store.write(self.run_id, _SOURCE, source.encode())

    @property
    def source_file(self) -> Path:
        return self._path(_SOURCE)

    # Facts about the run outside the database

    def environment(self) -> JsonObject:
        """Return versions, machine and fingerprints; empty if unknown."""
        return self._known(_ENVIRONMENT)

    def save_environment(self, environment: Mapping[str, Any]) -> None:
        self._save_json(_ENVIRONMENT, environment, indent=1)

    def record(self) -> JsonObject:
        """Return the last saved copy of the database row; empty if it is missing or unreadable."""
        return self._known(_RECORD)

    def save_record(self, text: str) -> None:
        self.store.write(self.run_id, _RECORD, text.encode())

    def curves(self) -> dict[str, list[Any]]:
        """Return the columns of the points of a run that ended; empty if they are missing or unreadable."""
        try:
            columns = json.loads(gzip.decompress(self.store.read(self.run_id, _CURVES)))
        except (OSError, EOFError, ValueError):
            return {}
        return columns if isinstance(columns, dict) else {}

    def save_curves(self, columns: Mapping[str, Sequence[Any]]) -> None:
        text = json.dumps(columns, separators=(",", ":"))
        # Without the time of compression, so that equal curves give equal bytes
        self.store.write(self.run_id, _CURVES, gzip.compress(text.encode(), 6, mtime=0))

    def evaluation(self) -> JsonObject | None:
        """Return the evaluation as plain JSON; None if the run was not evaluated.

        Raises:
            DamagedArtifactError: it is unreadable.
        """
        return self._object(_EVALUATION)

    def save_evaluation(self, value: Mapping[str, Any]) -> None:
        self._save_json(_EVALUATION, value)

    @property
    def evaluation_file(self) -> Path:
        return self._path(_EVALUATION)

    def delete_evaluation(self) -> None:
        self.store.remove(self.run_id, _EVALUATION)

    def calibration(self) -> Any | None:
        """Return the calibration that was chosen for the run, as plain JSON; None if there is none.

        Raises:
            DamagedArtifactError: it is unreadable.
        """
        try:
            return self._json(_CALIBRATION)
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            raise DamagedArtifactError(self.calibration_file) from None

    def save_calibration(self, value: Mapping[str, Any]) -> None:
        self._save_json(_CALIBRATION, value)

    def delete_calibration(self) -> None:
        self.store.remove(self.run_id, _CALIBRATION)

    @property
    def calibration_file(self) -> Path:
        return self._path(_CALIBRATION)

    def calibration_measures(self) -> Any | None:
        """Return the measures of the last calibration, as plain JSON; None if there are none.

        Raises:
            DamagedArtifactError: they are unreadable.
        """
        try:
            return self._json(_CALIBRATION_MEASURES)
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            raise DamagedArtifactError(self._path(_CALIBRATION_MEASURES)) from None

    def save_calibration_measures(self, value: Mapping[str, Any]) -> None:
        self._save_json(_CALIBRATION_MEASURES, value)

    def calibration_stamp(self) -> Stamp | None:
        """Return the stamp of the calibration; None if there is none."""
        return self._stamp(_CALIBRATION)

    def chat_policy(self) -> bytes | None:
        """Return the saved response policy of the run as JSON; None if there is none."""
        try:
            return self.store.read(self.run_id, _CHAT_POLICY)
        except FileNotFoundError:
            return None

    def save_chat_policy(self, text: str) -> None:
        self.store.write(self.run_id, _CHAT_POLICY, text.encode())

    def delete_chat_policy(self) -> None:
        self.store.remove(self.run_id, _CHAT_POLICY)

    @property
    def chat_policy_file(self) -> Path:
        return self._path(_CHAT_POLICY)

    def chat_policy_stamp(self) -> Stamp | None:
        """Return the stamp of the saved response policy; None if there is none."""
        return self._stamp(_CHAT_POLICY)

    def chat_tests(self) -> bytes:
        """Return the saved dialogues of the run as CSV; empty if there are none."""
        try:
            return self.store.read(self.run_id, _CHAT_TESTS)
        except FileNotFoundError:
            return b""

    def save_chat_tests(self, text: str) -> None:
        """Save dialogues; an empty text removes them."""
        if text:
            self.store.write(self.run_id, _CHAT_TESTS, text.encode())
        else:
            self.store.remove(self.run_id, _CHAT_TESTS)

    def log_event(self, event: str, **values: Any) -> None:
        """Append a line to the log of the run.

        Raises:
            OSError: it cannot be written.
        """
        log.write(self._path(_LOG), event, **values)

    def events(self) -> list[JsonObject]:
        """Return the lines of the log, without incomplete lines from a power failure."""
        try:
            lines = self.store.read(self.run_id, _LOG).decode(errors="replace").splitlines()
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
        return self._path(_WORKER_LOG)

    # Data

    def preprocess(self) -> JsonObject | None:
        """Return the preprocessing that was fitted on the training rows, as plain JSON; None if it was not saved.

        Raises:
            DamagedArtifactError: it is unreadable.
        """
        return self._object(_PREPROCESS)

    @property
    def preprocess_file(self) -> Path:
        return self._path(_PREPROCESS)

    def save_preprocess(self, value: Mapping[str, object]) -> None:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        self.store.write(self.run_id, _PREPROCESS, text.encode())

    def save_data_card(self, value: Mapping[str, Any]) -> None:
        text = json.dumps(value, indent=1, ensure_ascii=False, default=str)
        self.store.write(self.run_id, _DATA_CARD, text.encode())

    def data_card(self) -> JsonObject:
        """Return the card of the data; empty if it is missing or unreadable."""
        return self._known(_DATA_CARD)

    def card_statement(self) -> JsonObject:
        """Return the parts of the model card that a person wrote; empty if there are none."""
        return self._known(_CARD_STATEMENT)

    def save_card_statement(self, value: Mapping[str, str]) -> None:
        self._save_json(_CARD_STATEMENT, value, indent=1)

    # Weights

    @property
    def best_weights(self) -> Path:
        """The best weights on the validation rows."""
        return self._path(_BEST_WEIGHTS)

    @property
    def start_weights(self) -> Path:
        """The initial weights of the run, unless they are random."""
        return self._path("start.safetensors")

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self._path("checkpoints")

    @property
    def snapshots(self) -> Path:
        """The folder of the weights that were saved after some epochs."""
        return self._path("kept")

    def last_checkpoint(self) -> Any:
        """Return the pointer to the last checkpoint, as plain JSON.

        Raises:
            FileNotFoundError: there is none.
            DamagedArtifactError: it is unreadable.
        """
        try:
            return self._json(_LAST)
        except FileNotFoundError:
            raise
        except (OSError, ValueError):
            raise DamagedArtifactError(self._path(_LAST)) from None

    def save_last_checkpoint(self, value: Mapping[str, Any]) -> None:
        self._save_json(_LAST, value)

    @property
    def last_checkpoint_file(self) -> Path:
        return self._path(_LAST)

    def weights_written_at(self) -> float:
        """Return when the best or last weights were written, in seconds since 1970; 0 if there are none."""
        stamps = [self._stamp(name) for name in (_BEST_WEIGHTS, _LAST)]
        return max((stamp.modified_ns / 1e9 for stamp in stamps if stamp), default=0.0)

    def stored_weights(self) -> list[str]:
        """Return which of "best" and "last" exist."""
        return [name for name, file in (("best", _BEST_WEIGHTS), ("last", _LAST)) if self._stamp(file)]

    def default_weights(self) -> str:
        """Return which of the stored weights predict by default, "best" or "last"; "" if there are none."""
        stored, preferred = self.stored_weights(), self.project().training.keep
        return preferred if preferred in stored else next(iter(stored), "")

    # The teacher of a distillation

    @property
    def teacher_weights(self) -> Path:
        return self._path("teacher.safetensors")

    @property
    def teacher_source(self) -> Path:
        return self._path("teacher.py")

    def teacher(self) -> TeacherFacts:
        """Return the facts about the teacher other than its weights and code."""
        value: TeacherFacts = self._json(_TEACHER)
        return value

    def save_teacher(self, value: TeacherFacts) -> None:
        self._save_json(_TEACHER, value)

    # Observations during training

    def layer_statistics_header(self) -> bytes | None:
        """Return the description of a record of the layer statistics, as JSON; None if there are none."""
        try:
            return self.store.read(self.run_id, _LAYERS)
        except FileNotFoundError:
            return None

    def save_layer_statistics_header(self, text: bytes) -> None:
        self.store.write(self.run_id, _LAYERS, text)

    @property
    def layer_statistics(self) -> Path:
        """The file of the records of the layer statistics."""
        return self._path("layers.bin")

    @property
    def predictions(self) -> Path:
        """The predictions of the network for a few rows after each epoch."""
        return self._path("samples.jsonl")

    # Results computed from a run later

    @property
    def explanations(self) -> Path:
        """The folder of computed explanations."""
        return self._path("explanations")

    def export_file(self, name: str) -> Path:
        """Return the file of an export that can be downloaded."""
        return self._path(name)

    # Files of processes

    @property
    def reserve(self) -> Path:
        """A file that reserves some disk space, which is released when the disk is full."""
        return self._path(".reserve")

    @property
    def ray(self) -> Path:
        """The folder of the state of Ray."""
        return self._path("ray")

    def remove_partial_files(self) -> None:
        """Remove incomplete files of a process that was killed while writing."""
        directory = self.local_directory()
        for path in (*directory.glob(".writing-*"), *directory.glob("*/.writing-*")):
            path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.local_directory() / name

    def _stamp(self, name: str) -> Stamp | None:
        stamp = self.store.stamp(self.run_id, name)
        return Stamp(*stamp) if stamp else None

    def _json(self, name: str) -> Any:
        return json.loads(self.store.read(self.run_id, name))

    def _object(self, name: str) -> dict[str, Any] | None:
        """Return the object in a JSON file; None if there is no such file.

        Raises:
            DamagedArtifactError: it is unreadable, or not an object.
        """
        try:
            value = self._json(name)
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            raise DamagedArtifactError(self._path(name)) from None
        if not isinstance(value, dict):
            raise DamagedArtifactError(self._path(name))
        return value

    def _known(self, name: str) -> dict[str, Any]:
        try:
            value = self._json(name)
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    def _save_json(self, name: str, value: Mapping[str, Any], indent: int | None = None) -> None:
        self.store.write(self.run_id, name, json.dumps(value, indent=indent).encode())
