"""Load on an HTTP server from its own process: many clients, each of which sends a request after each answer.

Run as `python -m netloom.cli.bench.http_load URL FILE CLIENTS SECONDS`; FILE has a list of JSON bodies. It speaks HTTP
itself, because a client library would take more processor time than the server.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_LENGTH = b"content-length:"


@dataclass(frozen=True)
class Load:
    """What a server answered: requests per second, latencies in seconds, and the number of answers by status."""

    per_second: float
    p50_s: float
    p99_s: float
    statuses: dict[str, int]

    @property
    def failed(self) -> int:
        """The number of requests without a successful answer."""
        return sum(count for status, count in self.statuses.items() if status != "200")


def measure_load(url: str, bodies: Path, clients: int, seconds: float) -> Load:
    """Send requests for some seconds, from a separate process."""
    command = [sys.executable, "-m", __name__, url, str(bodies), str(clients), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 120)
    return Load(**json.loads(done.stdout))


async def _client(url: str, bodies: list[bytes], first: int, end: float, answers: list[tuple[float, str]]) -> None:
    parts, number = urlsplit(url), first
    reader = writer = None
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\nContent-Length: "
    while time.perf_counter() < end:
        body = bodies[number % len(bodies)]
        number += 7
        start = time.perf_counter()
        try:
            if writer is None or reader is None:
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(f"{head}{len(body)}\r\n\r\n".encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = answer[answer.index(_LENGTH) + len(_LENGTH) :].split(b"\r\n", 1)[0]
            await reader.readexactly(int(length))
            status = answer[9:12].decode()
        except (OSError, EOFError):
            status, reader, writer = "broken", None, None
            await asyncio.sleep(0.01)
        answers.append((time.perf_counter() - start, status))
    if writer is not None:
        writer.close()


async def _load(url: str, bodies: list[bytes], clients: int, seconds: float) -> Load:
    answers: list[tuple[float, str]] = []
    start = time.perf_counter()
    await asyncio.gather(*(_client(url, bodies, client, start + seconds, answers) for client in range(clients)))
    took = time.perf_counter() - start
    times = sorted(seconds for seconds, _ in answers)
    counts = Counter(status for _, status in answers)
    return Load(len(answers) / took, times[len(times) // 2], times[int(len(times) * 0.99)], dict(counts))


def _main() -> None:
    url, file, clients, seconds = sys.argv[1:]
    bodies = [json.dumps(body).encode() for body in json.loads(Path(file).read_text())]
    load = _load(url, bodies, int(clients), float(seconds))
    try:
        import uvloop
    except ImportError:
        result = asyncio.run(load)
    else:
        result = uvloop.run(load)
    print(json.dumps(vars(result)))


if __name__ == "__main__":
    _main()
