"""A folder to run in production: the bundle with a server, pinned requirements and a Dockerfile, in one zip."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from netloom.export.archive import Source, python
from netloom.export.bundled_network import bundled_network
from netloom.export.format import Trained
from netloom.export.formats.bundle import Bundle
from netloom.modalities.encoding.cells import RawRow

# The packages of the server, beside those of the network
SERVER_PACKAGES = ("starlette", "uvicorn")
SOURCES = (
    *(
        Source("netloom.serving", name, name)
        for name in ("connections.py", "errors.py", "metrics.py", "server_settings.py")
    ),
    Source("netloom.serving.models", "batching.py", "batching.py"),
    *(Source("netloom.export.production", name, name) for name in ("serve.py", "healthcheck.py")),
)
DOCKERFILE = """\
FROM python:{python}-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY requirements.txt .
# The build of PyTorch for CPUs: the usual one for Linux contains libraries for GPUs of several gigabytes
RUN pip install --no-cache-dir {torch} --index-url https://download.pytorch.org/whl/cpu \\
    && pip install --no-cache-dir -r requirements.txt
COPY . .
USER nobody
EXPOSE 8800
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "healthcheck.py"]
CMD ["python", "serve.py", "--host", "0.0.0.0"]
"""


class Production(Bundle):
    """The bundle with a server of its own, which needs neither Netloom nor the data of the run."""

    name = "production"
    title = "Production folder"
    summary = "The Python bundle with a model server, pinned requirements, a Dockerfile and a health check, in one zip"
    suffix = ".production.zip"
    is_first = False
    contains = ""

    def members(self, trained: Trained) -> dict[str, bytes]:
        pinned = pinned_requirements((*bundled_network(trained).packages, *SERVER_PACKAGES))
        dockerfile = DOCKERFILE.format(python=f"{sys.version_info[0]}.{sys.version_info[1]}", torch=pinned[0])
        return {
            **super().members(trained),
            **{source.path: python(source.package, source.name).encode() for source in SOURCES},
            "requirements.txt": "".join(f"{line}\n" for line in pinned).encode(),
            "Dockerfile": dockerfile.encode(),
            ".dockerignore": b"__pycache__\n.venv\n",
        }

    def usage(self, trained: Trained, example: RawRow) -> str:
        return f"{RUN}{super().usage(trained, example)}"

    def files(self, trained: Trained) -> dict[str, str]:
        return {
            "`Dockerfile`, `requirements.txt`": "the image, and the versions of its packages",
            "`serve.py`, `healthcheck.py`": "the server, and a check for Docker and other supervisors",
            "`batching.py`, `connections.py`, `errors.py`, `metrics.py`, `server_settings.py`": "parts of the server",
            **super().files(trained),
        }


RUN = """
## Serve it

In a container:

    docker build -t model .
    export API_KEY=$(openssl rand -hex 32)
    docker run --rm -p 127.0.0.1:8800:8800 -e API_KEY model
    curl http://127.0.0.1:8800/predict -H "X-API-Key: $API_KEY" -H 'Content-Type: application/json' -d @example.json

Or in a virtual environment, for this machine only and without a key:

    python -m venv .venv && . .venv/bin/activate
    pip install -r requirements.txt
    python serve.py
    curl http://127.0.0.1:8800/predict -H 'Content-Type: application/json' -d @example.json

`POST /predict` takes a row as JSON, a list of rows, JSON lines (`application/x-ndjson`) or CSV (`text/csv`). Rows of
requests that arrive at the same time are computed as one batch, whose outputs can differ in the last bits of float32;
with `--exact`, each row is computed by itself. A request that cannot be answered gets a status of 4xx or 5xx and
`{"error": "…"}`: 401 without the key, 413 if it is too large, 429 with `Retry-After` if too many rows wait.

`GET /v2/health/live` and `/v2/health/ready` are health checks without a key, `GET /metrics` is for Prometheus, and each
request writes a line of JSON to standard output, without inputs and answers. This server does not log the rows that it
receives; `netloom serve --log-requests` does, with redaction, retention and monitoring. To log rows here, let the
client or proxy append each row to a JSON Lines file; `netloom drift` compares such a file with the data of the
run. Rows can be private, so log only what you need, and delete it when it is no longer needed. On SIGTERM, the server
finishes the requests in progress and exits. The server uses plain HTTP; use a reverse proxy for TLS. Images and sounds
are sent as numbers, as in `example.json`; `netloom serve` also decodes files, and has explanations, canaries, a cache
and reloads.

## Predict without a server
"""


def pinned_requirements(packages: Iterable[str]) -> list[str]:
    """Return packages with the versions of this environment, with which the export was checked."""
    from importlib.metadata import version

    return [f"{name}=={version(name).partition('+')[0]}" for name in packages]
