"""The wheel: it contains only the package, and the installed package works without the repository."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import netloom
from netloom.ui.components.streamlit_internals import COMPONENT_FILES
from tests.cli.command import environment
from tests.cli.test_app import free_port

ROOT = Path(__file__).parents[1]
PACKAGE, FRONTEND = "builder/netloom/", "builder/netloom/ui/design/canvas/frontend/"
BIN = "Scripts" if os.name == "nt" else "bin"
STARTING_S = 60


@dataclass(frozen=True)
class Installed:
    """The wheel in its own virtual environment, and an empty working directory."""

    environment: Path
    work: Path

    @property
    def package(self) -> Path:
        (folder,) = self.environment.rglob("site-packages/netloom")
        return folder

    def call(self, program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in the empty folder, and wait for it."""
        return subprocess.run(
            [self.environment / BIN / program, *map(str, arguments)],
            cwd=self.work,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=STARTING_S,
            check=False,
        )

    @property
    def variables(self) -> dict[str, str]:
        inherited = {key: value for key, value in environment().items() if key != "PYTHONPATH"}
        return {**inherited, "NETLOOM_HOME": str(self.environment.parent / "home")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The environment also sees the packages of the current one, so dependencies are not downloaded again. The `.pth`
    files there, such as that of an editable install, are not read."""
    folder = tmp_path_factory.mktemp("installed")
    environment_folder = folder / "venv"
    venv.create(environment_folder, symlinks=os.name != "nt")
    (packages,) = environment_folder.rglob("site-packages")
    others = [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    (packages / "others.pth").write_text("\n".join(others))
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(environment_folder),
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
    ]
    process = subprocess.run(
        [*command, "--ignore-installed", "--no-compile", str(wheel)], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    work = folder / "work"
    work.mkdir()
    return Installed(environment_folder, work)


def expected_files() -> set[str]:
    """The files of the repository that belong in the wheel, by their names there."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "builder", "app.py", "pages"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    existing = [path for path in listed if (ROOT / path).exists() and not path.startswith(FRONTEND)]
    return {f"netloom/{path.removeprefix(PACKAGE)}" for path in existing}


def test_wheel_contains_only_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    information = f"netloom-{netloom.__version__}.dist-info"
    assert {name.partition("/")[0] for name in names} == {"netloom", information}
    files = {name for name in names if not name.startswith(information)}
    assert files == expected_files()
    assert {"netloom/py.typed", "netloom/app.py", "netloom/pages/home.py", "netloom/pyproject.toml"} <= files
    assert {".py", ".json", ".js", ".png", ".txt", ".toml"} <= {Path(name).suffix for name in files}
    assert not [name for name in files if "/tests/" in name or name.endswith((".ts", ".tsx"))]


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.long
def test_app_starts_from_an_empty_folder(installed: Installed) -> None:
    """`tests/cli/test_app.py` starts the app of the repository, and the next test runs a page of the wheel."""
    port, log = free_port(), installed.work.parent / "app.log"
    command = [str(installed.environment / BIN / "netloom"), "app", "--headless", "--port", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=installed.work, env=installed.variables, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            assert _fetch(port, "/_stcore/health", process) == "ok", log.read_text()
            assert '<div id="root">' in _fetch(port, "/", process)
            (script,) = installed.package.glob("ui/design/canvas/build/index-*.js")
            assert _fetch(port, f"/{COMPONENT_FILES}netloom.canvas/{script.name}", process) == script.read_text()
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)
    assert "Traceback" not in log.read_text()
    assert not [*installed.work.iterdir()]


def _fetch(port: int, path: str, process: subprocess.Popen[bytes]) -> str:
    """The response of the server as soon as it is up; empty if the server exits or the time is up."""
    deadline = time.monotonic() + STARTING_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
                return str(response.read().decode())
        except OSError:
            time.sleep(0.1)
    return ""


def test_home_page_and_api_come_from_the_wheel(installed: Installed) -> None:
    """In one process, because each new one would import the same packages again."""
    code = (
        "from netloom.cli.commands.app import script\n"
        "from streamlit.testing.v1 import AppTest\n"
        "app = AppTest.from_file(script().parent / 'pages' / 'home.py', default_timeout=60).run()\n"
        "import json, netloom\n"
        "print(json.dumps([netloom.__file__, netloom.__version__, *netloom.list_templates()]))\n"
        "print(script(), app.exception, [one.value for one in app.markdown])"
    )
    done = installed.call("python", "-c", code)
    assert done.returncode == 0, done.stderr
    api, page = done.stdout.split("\n", 1)
    file, version, *templates = json.loads(api)
    assert Path(file).parent == installed.package
    assert version == netloom.__version__
    assert page.startswith(f"{installed.package / 'app.py'} ElementList() [")
    assert "Digits with an MLP" in page
    listed = installed.call("netloom", "templates", "--json")
    assert listed.returncode == 0, listed.stderr
    assert templates == [item["name"] for item in json.loads(listed.stdout)]
    assert f"netloom {version}\n" == installed.call("netloom", "--version").stdout
