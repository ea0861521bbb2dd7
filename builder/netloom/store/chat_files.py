"""The files of the chat with a run: its response policy, and the dialogues that are its tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from netloom.store.artifact_files import ArtifactFiles
from netloom.store.artifact_store import Stamp

_POLICY, _TESTS = "chat_policy.json", "chat_tests.csv"


@dataclass(frozen=True)
class ChatFiles:
    """The response policy as JSON and the dialogues as CSV, among the `files` of a run."""

    files: ArtifactFiles

    def policy(self) -> bytes | None:
        """Return the saved response policy; None if there is none."""
        return self.files.read_if_exists(_POLICY)

    def save_policy(self, text: str) -> None:
        self.files.write(_POLICY, text.encode())

    def delete_policy(self) -> None:
        self.files.remove(_POLICY)

    @property
    def policy_file(self) -> Path:
        return self.files.path(_POLICY)

    def policy_stamp(self) -> Stamp | None:
        """Return the stamp of the saved response policy; None if there is none."""
        return self.files.stamp(_POLICY)

    def tests(self) -> bytes:
        """Return the saved dialogues; empty if there are none."""
        return self.files.read_if_exists(_TESTS) or b""

    def save_tests(self, text: str) -> None:
        """Save dialogues; an empty text removes them."""
        if text:
            self.files.write(_TESTS, text.encode())
        else:
            self.files.remove(_TESTS)

    def copy_from(self, earlier: ChatFiles) -> None:
        """Copy the response policy and the dialogues of an earlier run with the same intents."""
        for name in (_POLICY, _TESTS):
            content = earlier.files.read_if_exists(name)
            if content is not None:
                self.files.write(name, content)
