"""The production folder: its server in an environment with only the packages of its requirements."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from runpy import run_path
from typing import Any
from urllib.parse import urlsplit

import pytest
from packaging.requirements import Requirement

from netloom import export
from netloom.compression import registry
from netloom.compression.opened_variant import open_variant
from netloom.export.bundled_network import ONNX, PYTORCH
from netloom.export.formats.production import SERVER_PACKAGES
from netloom.runs import TrainedRun, predict
from netloom.serving.server_settings import Limits
from tests.explain.models import trained
from tests.export import bare
from tests.export.bundles import modules_of

KEY = "secret"
REQUIREMENTS = (*PYTORCH.packages, *SERVER_PACKAGES)


def has_docker() -> bool:
    """Whether images can be built on this machine: there is a client, and its daemon answers."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=20).returncode == 0


ROOT = Path(__file__).parents[2]
# Bodies that must be refused with a sentence, by their media type
HOSTILE = {
    "application/json": [
        b"", b"{", b"[]", b"1", b"null", b'"x"', b"[" * 100_000, b"{}", b"[[1]]", b"\xff\xfe", b'{"mean radius": NaN}',
        b'{"mean radius": "\\ud800"}', b'{"mean radius": 1e999}', b'{"mean radius": {"a": 1}}',
    ],
    "text/csv": [b"", b"a,b\n1,2", b"\x00", b"mean radius\n" + b"9" * 5_000],
    "image/png": [b"\x89PNG"],
}  # fmt: skip


@dataclass
class Served:
    """`serve.py` of a production folder in a process of its own."""

    folder: Path
    run: TrainedRun
    process: subprocess.Popen[str]
    address: str

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """The status and the body of an answer, as JSON if it is JSON."""
        names = {name.replace("_", "-"): value for name, value in {"x_api_key": KEY, **headers}.items()}
        request = urllib.request.Request(self.address + path, body, {"Content-Type": "application/json", **names})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text, status = answer.read(), answer.status
        except urllib.error.HTTPError as error:
            text, status = error.read(), error.code
        return status, json.loads(text) if text[:1] in b"{[" else text.decode()

    def predict(self, value: Any) -> tuple[int, Any]:
        return self.ask("/predict", json.dumps(value).encode())

    def rows(self, count: int) -> list[dict[str, Any]]:
        return [self.run.data.row(int(row)) for row in self.run.data.split["test"][:count]]


def unpacked(run: TrainedRun, folder: Path) -> Path:
    path = export.export(run, "production", folder / "taken.zip").path
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder / "taken")
    return folder / "taken"


def start(python: Path, folder: Path, *options: str, **environment: str) -> tuple[subprocess.Popen[str], str]:
    """Start the server, and return its process and its address."""
    process = subprocess.Popen(
        [python, "-W", "error", "serve.py", "--port", "0", *options],
        cwd=folder,
        env={"OMP_NUM_THREADS": "1", "PATH": os.environ["PATH"], **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "it ended at once"
    return process, str(json.loads(line)["address"])


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare.build(tmp_path_factory.mktemp("server"), REQUIREMENTS)


@pytest.fixture(scope="module")
def served(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server, which SIGTERM has to end after the tests."""
    run = trained("table")
    folder = unpacked(run, tmp_path_factory.mktemp("production"))
    process, address = start(python, folder, "--log-requests", "../requests.jsonl", API_KEY=KEY)
    with process:
        yield Served(folder, run, process, address)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)
    with pytest.raises(urllib.error.URLError):  # the port is free
        urllib.request.urlopen(f"{address}/v2/health/live", timeout=5)


def test_a_row_gets_the_answer_of_the_app(served: Served) -> None:
    for row in served.rows(5):
        expected = predict(served.run, [row])[0]
        assert served.predict(row) == (200, expected)
        logged = json.loads((served.folder.parent / "requests.jsonl").read_text().splitlines()[-1])
        assert -0.001 <= time.time() - logged.pop("at") < 60  # rounded to milliseconds
        assert logged == {"input": row, **expected}
    assert (served.folder.parent / "requests.jsonl").stat().st_mode & 0o777 == 0o600


def test_several_rows_and_other_formats_are_answered(served: Served) -> None:
    rows = served.rows(20)
    status, answers = served.predict(rows)
    assert status == 200
    lines = "\n".join(map(json.dumps, rows)).encode()
    assert served.ask("/predict", lines, Content_Type="application/x-ndjson") == (200, answers)
    text = "\n".join([",".join(rows[0]), *(",".join(map(repr, row.values())) for row in rows)])
    assert served.ask("/predict", text.encode(), Content_Type="text/csv") == (200, answers)
    for answer, expected in zip(answers, predict(served.run, rows), strict=True):
        assert answer["prediction"] == expected["prediction"]
        assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-6)


def test_clients_at_the_same_time_get_their_own_answers(served: Served) -> None:
    rows = served.rows(40)
    broken = {"mean radius": 1.0}
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(served.predict, [row for row in rows for row in (row, broken)]))
    for row, (status, answer) in zip(rows, answers[::2], strict=True):
        assert status == 200
        assert answer["probabilities"] == pytest.approx(predict(served.run, [row])[0]["probabilities"], abs=1e-6)
    assert {status for status, _ in answers[1::2]} == {400}
    text = served.ask("/metrics")[1]
    assert 'netloom_requests_total{route="/predict",status="200"}' in text
    assert "netloom_batch_rows_count" in text


def test_invalid_requests_are_refused_with_a_sentence(served: Served) -> None:
    for kind, bodies in HOSTILE.items():
        for body in bodies:
            status, answer = served.ask("/predict", body, Content_Type=kind)
            if status == 200:  # a value that counts as missing
                assert "prediction" in json.dumps(answer)
                continue
            assert 400 <= status < 500, (kind, body[:50], answer)
            assert answer["error"].endswith((".", "...")), answer
    status, answer = served.predict([{"mean radius": 1.0}])
    assert (status, answer["error"][:40]) == (400, "Row 1: The row has no column 'mean textu")
    assert served.ask("/predict")[0] == 405
    assert served.predict(served.rows(1)[0])[0] == 200


def test_requests_need_the_key_but_health_checks_do_not(served: Served) -> None:
    body = json.dumps(served.rows(1)[0]).encode()
    for headers in ({"x_api_key": ""}, {"x_api_key": "wrong"}, {"x_api_key": "", "Authorization": "Basic secret"}):
        status, answer = served.ask("/predict", body, **headers)
        assert (status, "API key" in answer["error"]) == (401, True)
    assert served.ask("/predict", body, x_api_key="", Authorization=f"Bearer {KEY}")[0] == 200
    assert served.ask("/v2/health/live", x_api_key="")[0] == served.ask("/v2/health/ready", x_api_key="")[0] == 200
    assert served.ask("/metrics", x_api_key="")[0] == 401
    assert served.ask("/v2/health/ready", Host="example.org")[0] == 403  # a name that another page may point here


def test_connections_without_a_request_do_not_block_the_server(served: Served) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2_000)), hard))
    try:
        with ExitStack() as stack:
            port = urlsplit(served.address).port or 0
            for _ in range(Limits().connections + 50):
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            assert served.ask("/v2/health/live", x_api_key="")[0] == 200
            assert served.predict(served.rows(1)[0])[0] == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(sys.platform != "linux", reason="The limit of another process is set with prlimit.")
def test_a_server_that_may_open_no_more_files_logs_one_line(served: Served) -> None:
    pid, output = served.process.pid, served.process.stdout
    assert output is not None
    os.set_blocking(output.fileno(), False)
    assert served.ask("/v2/health/ready", x_api_key="")[0] == 200  # it has opened its files
    with suppress(BlockingIOError):
        os.read(output.fileno(), 2**20)  # the lines of other tests
    _, hard = limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    opened = set(map(int, os.listdir(f"/proc/{pid}/fd")))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(set(range(1_000)) - opened), hard))
    try:
        with ExitStack() as stack:
            port = urlsplit(served.address).port or 0
            for _ in range(6):
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            time.sleep(1.5)  # asyncio tries again after a second
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    [line] = os.read(output.fileno(), 2**20).decode().splitlines()
    assert json.loads(line)["error"].startswith("New connections wait: Too many open files.")
    assert served.ask("/v2/health/live", x_api_key="")[0] == 200


@pytest.mark.long
@pytest.mark.skipif(not has_docker(), reason="There is no Docker daemon.")
def test_the_image_answers_like_the_app(served: Served) -> None:
    """The lines for a container, as a person runs them; the image downloads PyTorch."""
    name = f"netloom-test-{os.getpid()}"
    subprocess.run(["docker", "build", "-q", "-t", name, "."], cwd=served.folder, check=True)
    try:
        options = ["-d", "--rm", "--name", name, "-p", "127.0.0.1::8800", "-e", f"API_KEY={KEY}"]
        subprocess.run(["docker", "run", *options, name], check=True)
        ports = subprocess.run(["docker", "port", name, "8800"], capture_output=True, text=True, check=True)
        inside = replace(served, address=f"http://{ports.stdout.split()[0]}")
        deadline = time.monotonic() + 60
        while not has_started(inside):
            assert time.monotonic() < deadline, "it did not start"
            time.sleep(0.2)
        row = served.rows(1)[0]
        status, answer = inside.predict(row)
        expected = predict(served.run, [row])[0]
        assert (status, answer["prediction"]) == (200, expected["prediction"])
        assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-6)
        assert inside.ask("/predict", b"{}", x_api_key="")[0] == 401
        check = ["docker", "exec", name, "python", "healthcheck.py"]
        assert subprocess.run(check, check=False).returncode == 0
    finally:
        subprocess.run(["docker", "rm", "-f", name], check=False, capture_output=True)
        subprocess.run(["docker", "rmi", "-f", name], check=False, capture_output=True)


def has_started(served: Served) -> bool:
    try:
        return served.ask("/v2/health/ready")[0] == 200
    except OSError:  # the port is open before the server listens
        return False


def test_the_health_check_knows_whether_the_server_answers(served: Served) -> None:
    port = str(urlsplit(served.address).port)
    for number, code in ((port, 0), ("1", 1)):
        done = subprocess.run([sys.executable, "healthcheck.py", number], cwd=served.folder, check=False)
        assert done.returncode == code


def test_a_server_for_others_needs_a_key(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("API_KEY", raising=False)
    monkeypatch.setattr(sys, "argv", ["serve.py", "--host", "0.0.0.0", "--port", "0"])
    with modules_of(served.folder), pytest.raises(SystemExit) as end:
        run_path(str(served.folder / "serve.py"), run_name="__main__")
    assert end.value.code == 2
    assert "set the environment variable API_KEY" in capsys.readouterr().err


def test_requirements_are_pinned_within_the_ranges_of_netloom(served: Served) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ranges = {item.name: item.specifier for item in map(Requirement, project["dependencies"])}
    pinned = (served.folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line.partition("==")[0] for line in pinned] == list(REQUIREMENTS)
    for line in pinned:
        name, version = line.split("==")
        assert "+" not in version, "local versions are not in the registry"
        assert ranges[name].contains(version), line
    dockerfile = (served.folder / "Dockerfile").read_text(encoding="utf-8")
    assert dockerfile.startswith(f"FROM python:{sys.version_info[0]}.{sys.version_info[1]}-slim\n")
    assert f"pip install --no-cache-dir {pinned[0]} --index-url" in dockerfile
    copied = {path.name for path in served.folder.iterdir()}
    for script in ("serve.py", "healthcheck.py"):
        assert f'"{script}"' in dockerfile
        assert script in copied


def check_that_the_readme_names_every_file(folder: Path) -> None:
    readme = (folder / "README.md").read_text(encoding="utf-8")
    for path in folder.iterdir():
        if path.name not in ("README.md", ".dockerignore", "__pycache__"):
            assert f"`{path.name}" in readme, path.name


def test_the_readme_names_every_file(served: Served) -> None:
    check_that_the_readme_names_every_file(served.folder)


@pytest.mark.usefixtures("operators")
def test_a_variant_is_served_with_its_answers(tmp_path: Path) -> None:
    run, file = trained("table"), tmp_path / "dynamic_int8.onnx"
    file.write_bytes(registry()["dynamic_int8"].compress(run).content)
    variant = open_variant(run, file)
    packages = (*ONNX.packages, *SERVER_PACKAGES)
    folder = unpacked(variant, tmp_path)
    process, address = start(bare.build(tmp_path / "environment", packages), folder)
    with process:
        served = Served(folder, variant, process, address)
        rows = served.rows(5)
        answers = [served.predict(rows), served.predict(rows[0])]
        process.kill()
    # The range of the quantized activations would depend on the other rows of a batch
    expected = predict(variant, rows)
    assert answers == [(200, expected), (200, expected[0])]
    assert expected != predict(run, rows)
    check_that_the_readme_names_every_file(folder)
    assert not {"model.py", "weights.safetensors"} & {path.name for path in folder.iterdir()}
    pinned = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line.partition("==")[0] for line in pinned] == list(packages)


@pytest.mark.long
def test_the_commands_of_the_readme_work_in_a_fresh_environment(tmp_path: Path) -> None:
    """The lines for a virtual environment, as a person runs them; installing PyTorch takes minutes."""
    run = trained("table")
    folder = unpacked(run, tmp_path)
    venv.EnvBuilder(with_pip=True).create(folder / ".venv")
    python = folder / ".venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "-r", "requirements.txt"], cwd=folder, check=True)
    process, address = start(python, folder)
    with process:
        body = (folder / "example.json").read_bytes()
        request = urllib.request.Request(f"{address}/predict", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert json.load(answer) == predict(run, [json.loads(body)])[0]
        process.kill()
