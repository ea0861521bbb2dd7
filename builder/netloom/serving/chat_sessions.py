"""The dialogues that clients have with the models of a server. They are in the memory of the server and end with it."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from secrets import token_urlsafe

from netloom.chat import State
from netloom.serving.errors import RequestError

MAX_WAITING = 4  # messages of a session, beside the one that is being answered


@dataclass
class ChatSession:
    """A dialogue between two turns.

    Attributes:
        model: The name of the model.
        owner: The name of the API key that started it; others cannot continue it.
        version: The version of the model that answered last.
        state: The state of the dialogue, without its messages.
        used: The time of the last message, of the clock of `ChatSessions`.
        lock: Held while a message is answered, so that messages of one session are answered one after the other.
        waiting: The number of messages that wait for the lock.
    """

    model: str
    owner: str
    version: str
    used: float
    state: State = field(default_factory=State)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0

    def check_room(self) -> None:
        """Check that another message may wait.

        Raises:
            RequestError: too many wait.
        """
        if self.waiting >= MAX_WAITING:
            raise RequestError(
                f"This session already has {self.waiting} waiting messages; wait for a response before sending "
                "another.",
                429,
                1.0,
            )

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for the messages before this one, and keep later ones waiting.

        Raises:
            RequestError: too many wait already.
        """
        self.check_room()
        self.waiting += 1
        try:
            await self.lock.acquire()
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self.lock.release()


class ChatSessions:
    """Sessions by their id. One without a message for `expiry_s` seconds ends; at most `most` exist at the same time.

    A new session is refused rather than ending the dialogue of somebody else.
    """

    def __init__(self, most: int, expiry_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.most, self.expiry_s, self._clock = most, expiry_s, clock
        self._sessions: OrderedDict[str, ChatSession] = OrderedDict()  # the least recently used first

    def __len__(self) -> int:
        self._end_old()
        return len(self._sessions)

    def check_room(self) -> None:
        """Check that a new session can start.

        Raises:
            RequestError: there are too many.
        """
        self._end_old()
        if len(self._sessions) >= self.most:
            oldest = next(iter(self._sessions.values()))
            raise RequestError(
                f"{self.most:,} dialogues are open, as many as this server allows; try again later.",
                429,
                max(1.0, oldest.used + self.expiry_s - self._clock()),
            )

    def start(self, model: str, version: str, owner: str) -> tuple[str, ChatSession]:
        """Return a new session with its id, which cannot be guessed.

        Raises:
            RequestError: there are too many.
        """
        self.check_room()
        session_id, session = token_urlsafe(18), ChatSession(model, owner, version, self._clock())
        self._sessions[session_id] = session
        return session_id, session

    def find(self, session_id: str, model: str, owner: str) -> ChatSession:
        """Return a session, which counts as used now.

        Raises:
            RequestError: it does not exist, has expired, or belongs to another model or key.
        """
        self._end_old()
        session = self._sessions.get(session_id)
        if session is None or (session.model, session.owner) != (model, owner):
            raise RequestError(
                f"The session {session_id[:60]!r} of the model {model!r} does not exist. A session ends after "
                f"{self.expiry_s:g} seconds without a message, and when the server stops; leave out the key "
                "session to start a new one.",
                404,
            )
        session.used = self._clock()
        self._sessions.move_to_end(session_id)
        return session

    def end(self, session_id: str) -> None:
        """End a session, if it has not ended already."""
        self._sessions.pop(session_id, None)

    def _end_old(self) -> None:
        oldest = self._clock() - self.expiry_s
        while self._sessions and next(iter(self._sessions.values())).used < oldest:
            self._sessions.popitem(last=False)
