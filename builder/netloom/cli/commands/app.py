"""`netloom app`: start the web app."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from netloom.cli.command import Command, Context, Failure, whole
from netloom.core.app_files import app_folder
from netloom.core.errors import UsageError

ADDRESS = "127.0.0.1"
PORT = 8501
# The settings of .streamlit/config.toml. Streamlit reads that file only in a clone, so they are passed as options.
OPTIONS: dict[str, str | int | bool] = {
    "server.address": ADDRESS,
    "server.enableXsrfProtection": True,
    "server.maxUploadSize": 200,
    "server.fileWatcherType": "none",
    "runner.postScriptGC": False,
    "logger.enableRich": False,
    "client.showErrorDetails": "none",
    "client.toolbarMode": "minimal",
    "client.showSidebarNavigation": True,
    "browser.gatherUsageStats": False,
    "theme.baseRadius": "0.55rem",
    "theme.buttonRadius": "0.55rem",
    "theme.light.primaryColor": "#4f46e5",
    "theme.light.backgroundColor": "#ffffff",
    "theme.light.secondaryBackgroundColor": "#f4f4f8",
    "theme.light.textColor": "#1c1c28",
    "theme.light.borderColor": "#e3e3ea",
    "theme.dark.primaryColor": "#818cf8",
    "theme.dark.backgroundColor": "#12131a",
    "theme.dark.secondaryBackgroundColor": "#1b1c26",
    "theme.dark.textColor": "#e8e8ef",
    "theme.dark.borderColor": "#2d2e3a",
}


class App(Command):
    """Replaces this process with the web server."""

    name = "app"
    summary = "start the app and open it in the browser (default)"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--host",
            metavar="ADDRESS",
            default=ADDRESS,
            help=f"address to listen on (default: {ADDRESS}); allow other host names with NETLOOM_HOSTS",
        )
        parser.add_argument("--port", metavar="N", type=whole(1, 65_535), default=PORT, help=f"port (default: {PORT})")
        parser.add_argument("--headless", action="store_true", help="do not open a browser")

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.core.settings import check, variable

        check()  # a wrong NETLOOM_… variable is reported here, not on the first page
        url = f"http://{f'[{arguments.host}]' if ':' in arguments.host else arguments.host}:{arguments.port}"
        _check_port(arguments.host, arguments.port, url)
        command = server_command(arguments.port, headless=arguments.headless, host=arguments.host)
        environment = {**os.environ, variable("home"): str(context.home)}
        context.answer({"url": url, "home": str(context.home)}, f"Netloom is starting at {url} (Ctrl-C stops it).")
        if context.json:
            os.dup2(2, 1)  # standard output has the JSON answer alone; Streamlit writes to standard error
        if os.name == "posix":
            os.execve(command[0], command, environment)
        return subprocess.run(command, env=environment, check=False).returncode


def server_command(port: int, *, headless: bool, host: str = ADDRESS) -> list[str]:
    """Return the command that starts the server.

    With `-P`, Python does not import modules from the current folder, where a file could have the name of one.
    """
    options = {**OPTIONS, "server.address": host, "server.port": port, "server.showEmailPrompt": False}
    if headless:
        options["server.headless"] = True
    flags = [f"--{name}={_flag_value(value)}" for name, value in options.items()]
    return [sys.executable, "-P", "-m", "streamlit", "run", str(script()), *flags]


def script() -> Path:
    """Return the path of `app.py`.

    Raises:
        Failure: the pages of the app are missing.
    """
    folder = app_folder()
    if not (folder / "app.py").exists() or not (folder / "pages").is_dir():
        raise Failure(f"The pages of the app are missing in {folder}; reinstall Netloom.")
    return folder / "app.py"


def _check_port(host: str, port: int, url: str) -> None:
    """Check that the server can listen on the port, before this process is replaced.

    Raises:
        UsageError: the port needs root, or the address does not belong to this machine.
        Failure: the port is taken.
    """
    import socket

    try:
        family, _, _, _, socket_address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError:
        raise UsageError(f"The address {host[:80]!r} is not known; give one of this machine with --host.") from None
    with socket.socket(family) as probe:
        if os.name == "posix":
            # As the server does: a port whose old connections are still in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(socket_address)
        except PermissionError:
            raise UsageError(f"Port {port} is reserved for the system; choose one above 1023 with --port.") from None
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise UsageError(f"{host[:80]} is not an address of this machine; give one with --host.") from None
            raise Failure(
                f"Port {port} is taken, perhaps by another Netloom at {url}; choose another port with --port."
            ) from None


def _flag_value(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
