"""The thread of a worker that communicates with the store, so that the training loop never waits for a disk."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING

from netloom.store import ClaimLostError, NotFoundError, RunArtifacts, StoreError

if TYPE_CHECKING:
    from netloom.runs.execution.command_handler import CommandHandler
    from netloom.runs.execution.curve_logger import CurveLogger
    from netloom.runs.execution.heartbeat import Heartbeat
    from netloom.runs.execution.limit_guard import LimitGuard

POLL_S = 0.1
# The interval of polls for commands, in seconds. A poll takes longer than a check for pending points.
COMMANDS_S = 0.2
FLUSH_S = 0.25
HEARTBEAT_S = 1.0


class StoreThread:
    """Gets commands, writes points, checks the limits and sends heartbeats, each at an interval of its own."""

    def __init__(
        self,
        artifacts: RunArtifacts,
        commands: CommandHandler,
        curves: CurveLogger,
        limits: LimitGuard,
        heartbeat: Heartbeat,
    ) -> None:
        self._artifacts = artifacts
        self._commands, self._curves, self._limits, self._heartbeat = commands, curves, limits, heartbeat
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="run reporter", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the thread and send the last heartbeat."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()
        self._limits.close()
        try:
            self._heartbeat.send(is_last=True)
        except StoreError as error:  # the worker reports the end of the run next, and retries longer
            self._log_error(error)

    def _serve(self) -> None:
        flushed_at = heartbeat_at = polled_at = 0.0
        while not self._closed.wait(POLL_S):
            try:
                time_s = time.monotonic()
                if time_s - polled_at > COMMANDS_S:
                    self._commands.take()
                    polled_at = time_s
                if time_s - flushed_at > FLUSH_S and self._curves.write():  # the first points: without a delay
                    flushed_at = time_s
                if time_s - heartbeat_at > HEARTBEAT_S:
                    self._limits.check()
                    self._heartbeat.send()
                    heartbeat_at = time_s
            except NotFoundError:
                self._exit_deleted()
            except ClaimLostError:  # another worker may train this run in this folder
                os._exit(0)
            except Exception as error:
                # The store can be locked for a moment; points remain in memory and are written later.
                self._log_error(error)
                time.sleep(HEARTBEAT_S)

    def _log_error(self, error: Exception) -> None:
        with contextlib.suppress(OSError, MemoryError):  # the log is on the same disk, which can be full
            self._artifacts.log_event("store", problem=repr(error))

    def _exit_deleted(self) -> None:
        """End the process at once: the run was deleted, so its results have no reader and no folder. If instead the
        database was lost, the folder remains and the run can be restored."""
        delete_unlisted(self._artifacts)
        os._exit(0)


def delete_unlisted(artifacts: RunArtifacts) -> None:
    """Remove the files of a deleted run. If its document exists, the files remain: either the database was lost and the
    run was not deleted, or the process that deleted it is about to remove them."""
    if artifacts.project_stamp() is None:
        artifacts.delete()
