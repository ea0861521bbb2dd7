"""A Streamlit server in its own process, started as users start it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil

from netloom.core.app_files import app_folder
from netloom.store import Store, open_store

APP = app_folder() / "app.py"
IDLE_PERCENT = 20


class Server:
    """`streamlit run` on a free port, with its own data folder.

    An `app` other than Netloom runs in that folder, so that it does not read the Streamlit settings of Netloom.
    """

    def __init__(self, home: Path, app: Path = APP) -> None:
        self.home, self.app = home, app
        self.log = home / "server.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))  # port 0: the system chooses a free one
            self.port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    @property
    def store(self) -> Store:
        """The store of the server, opened in this process."""
        return open_store(self.home)

    def start(self) -> None:
        environment = {**os.environ, "NETLOOM_HOME": str(self.home)}
        command = [sys.executable, "-m", "streamlit", "run", str(self.app), "--server.headless=true"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, f"--server.port={self.port}"],
                cwd=APP.parent if self.app == APP else self.home,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches only this process, which then stops the server
            )
        self._wait()

    def settle(self) -> None:
        """Wait until the server is idle, at most a minute: it imports the modules of later pages in the background."""
        process, end = psutil.Process(self.process.pid), time.monotonic() + 60
        while process.cpu_percent(1.0) > IDLE_PERCENT and time.monotonic() < end:
            pass

    def kill(self) -> None:
        """Kill the server with SIGKILL, so that it cannot clean up."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def _wait(self) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2):
                    return
            except OSError:
                time.sleep(0.1)
        raise TimeoutError(f"The app did not start; its log says: {self.log.read_text()[-2000:]}")
