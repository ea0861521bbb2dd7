"""Restores the list of runs from their folders if the database was lost: deleted, emptied, or replaced.

Folders contain the document, the weights, the metrics and, for runs that ended, the curves. Data that only the database
has is lost: versions of projects, sweeps, and the library.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from netloom.document import DocumentError, Project
from netloom.runs.history.records import curves, keep_record, moment, record
from netloom.store import DamagedArtifactError, RunArtifacts, Store, StoreError
from netloom.store.run_summary import BestResult, RunOrigin, RunSummary, SweepTrial
from netloom.store.states import ENDED
from netloom.training.weights import checkpoints
from netloom.training.weights.weight_files import CheckpointError, metadata

# The minimum age of a folder: a newer one can belong to a run that is about to be added to the database.
SETTLED_S = 10.0
# The split before the monitored metric in the header of the best weights.
_MEASURED = re.compile(r"(validation|train)_(.+)")


@dataclass(frozen=True)
class Rebuilt:
    """The result of a rebuild: the restored runs and projects, why some folders were skipped, and what could not be
    read of restored runs."""

    runs: int
    projects: int
    left_out: tuple[str, ...]
    unread: tuple[str, ...] = ()

    def sentence(self) -> str:
        runs = f"{self.runs:,} run{'s'[: self.runs != 1]}"
        projects = f"{self.projects:,} project{'s'[: self.projects != 1]}"
        remainder = f" Left out: {'; '.join(self.left_out)}." if self.left_out else ""
        unread = f" Parts of their origin that cannot be read: {'; '.join(self.unread)}." if self.unread else ""
        return f"{runs} and {projects} are listed again.{remainder}{unread}"


@dataclass(frozen=True)
class _RunFolder:
    """The contents of the folder of a run."""

    artifacts: RunArtifacts
    project: Project
    record: dict[str, Any]
    created_at: datetime

    @property
    def id(self) -> str:
        return self.artifacts.run_id

    @property
    def is_trial(self) -> bool:
        return isinstance(RunOrigin.from_json(self.record.get("about") or {}).start, SweepTrial)


def lost_runs(store: Store) -> list[RunArtifacts]:
    """Return the files of runs that are not in the database."""
    settled = [artifacts for run_id in store.artifact_store.run_ids() if _settled(artifacts := store.artifacts(run_id))]
    if not settled:
        return []
    listed_ids = store.run_ids()
    return [artifacts for artifacts in settled if artifacts.run_id not in listed_ids]


def rebuild_offer(store: Store) -> str:
    """Return a sentence if there are folders of runs that are not in the database; else ""."""
    count = len(lost_runs(store))
    if not count:
        return ""
    subject = "1 run has its folder" if count == 1 else f"{count:,} runs have their folders"
    return (
        f"{subject} in {store.artifact_store.location}, but the database does not list "
        f"{'it' if count == 1 else 'them'}: it was deleted or emptied, or NETLOOM_DATABASE_URL named another one. "
        "The list can be rebuilt from the folders."
    )


def rebuild(store: Store) -> Rebuilt:
    """Add the runs of these folders to the database, each in its project, which is restored from the document of its
    newest run. Listed runs remain unchanged."""
    folders, left_out, unread = [], [], []
    for artifacts in lost_runs(store):
        try:
            folders.append(_read_folder(artifacts))
        except DocumentError as error:
            left_out.append(f"{artifacts.run_id} ({str(error).rstrip('.')})")
    # The newest run first, trials last: the first run of a project determines its document, and a trial has values of a
    # sweep in it.
    folders.sort(key=lambda item: (not item.is_trial, item.created_at), reverse=True)
    created_projects: dict[str, str] = {}
    runs = 0
    for item in folders:
        project_id = str(item.record.get("project_id") or "")
        key = project_id or item.project.name
        try:
            if key not in created_projects and not (project_id and store.has_project(project_id)):
                created_projects[key] = store.create_project(item.project, project_id=project_id or None)
            _restore(store, item, created_projects.get(key, project_id))
            runs += 1
            if keys := RunOrigin.unread_keys(_origin(item)):
                unread.append(f"{item.id} ({', '.join(str(key)[:60] for key in keys)})")
        except StoreError as error:
            left_out.append(f"{item.id} ({str(error).rstrip('.')})")
    return Rebuilt(runs, len(created_projects), tuple(left_out), tuple(unread))


def _origin(item: _RunFolder) -> dict[str, Any]:
    """Return the origin of a run as it was recorded."""
    about = item.record.get("about")
    return about if isinstance(about, dict) else {}


def _settled(artifacts: RunArtifacts) -> bool:
    stamp = artifacts.project_stamp()
    return stamp is not None and time.time() - stamp.modified_ns / 1e9 >= SETTLED_S


def _read_folder(artifacts: RunArtifacts) -> _RunFolder:
    """Read the folder of a run.

    Raises:
        DocumentError: its document is unreadable.
    """
    run_record, project, stamp = record(artifacts), artifacts.project(), artifacts.project_stamp()
    started = run_record.get("created_at") or _events(artifacts).get("start", {}).get("at")
    written = datetime.fromtimestamp(stamp.modified_ns / 1e9 if stamp else 0, UTC)
    return _RunFolder(
        artifacts, project, run_record, started if isinstance(started, datetime) else moment(started) or written
    )


def _restore(store: Store, item: _RunFolder, project_id: str) -> None:
    """Add a run to the database."""
    run_record, events = item.record, _events(item.artifacts)
    end = events.get("end", {})
    state = end.get("state") if end.get("state") in ENDED else run_record.get("state")
    reason = str((end if end.get("state") in ENDED else run_record).get("reason") or "")
    if state not in ENDED:
        state, reason = "failed", _cut_off(item.artifacts)
    step, epoch = _progress(events)
    run = {
        "title": str(run_record.get("title") or item.project.name),
        "owner": str(run_record.get("owner") or ""),
        "notes": str(run_record.get("notes") or ""),
        "tags": [str(tag) for tag in run_record.get("tags") or ()],
        "about": RunOrigin.from_json(run_record.get("about") or {}),
        "summary": _measured(item.artifacts).merged(RunSummary.from_json(run_record.get("summary") or {})),
        "epoch": max(epoch, int(run_record.get("epoch") or 0)),
        "step": max(step, int(run_record.get("step") or 0)),
        "total_steps": int(run_record.get("total_steps") or step),
        "created_at": item.created_at,
        "started_at": run_record.get("started_at"),
        "ended_at": run_record.get("ended_at") or moment(end.get("at")),
    }
    store.restore_run(item.id, project_id, item.project, state, reason, **run)
    store.add_points(item.id, curves(item.artifacts))
    keep_record(store, item.id)


def _cut_off(artifacts: RunArtifacts) -> str:
    try:
        has_checkpoint = checkpoints.weights_file(artifacts, "last").exists()
    except (FileNotFoundError, CheckpointError):
        has_checkpoint = False
    goes_on = "continues from its last checkpoint" if has_checkpoint else "starts again, as it has no checkpoint"
    return f"The database was lost while this run trained. Resume it: it {goes_on}."


def _progress(events: dict[str, dict[str, Any]]) -> tuple[int, int]:
    """Return the step and the completed epochs at the last checkpoint."""
    last = events.get("checkpoint", {})
    return int(last.get("step") or 0), int(last.get("epoch") or 0)


def _measured(artifacts: RunArtifacts) -> RunSummary:
    """Return the metrics of a run from its files."""
    summary = RunSummary()
    with contextlib.suppress(DamagedArtifactError, KeyError, TypeError):
        summary = RunSummary.from_json({"test": (artifacts.evaluation() or {})["metrics"]})
    with contextlib.suppress(ValueError, KeyError, TypeError, StopIteration):
        facts = json.loads(metadata(artifacts.best_weights)["facts"])
        match = next(match for name in facts if (match := _MEASURED.fullmatch(name)))
        best = BestResult(epoch=facts["epoch"], step=facts["step"], loss=facts[match[0]], measure=match[2])
        summary = summary.merged(RunSummary(best=best))
        if match[1] != "validation":
            summary = summary.merged(RunSummary(monitored_split=match[1]))
    return summary


def _events(artifacts: RunArtifacts) -> dict[str, dict[str, Any]]:
    """Return the last event of each kind in the log of a run; an end counts only if nothing was started after it."""
    last_events: dict[str, dict[str, Any]] = {}
    for event in artifacts.events():
        kind = str(event.get("event"))
        if kind == "start":  # the first start stays, as the time when the run was created
            last_events.pop("end", None)
            event = last_events.get("start", event)
        last_events[kind] = event
    return last_events
