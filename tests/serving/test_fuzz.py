"""Random requests get an answer or a sentence, never a failure of the server, and leave no memory behind."""

from __future__ import annotations

import gc
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from netloom.serving.route import routes
from tests.serving.asgi import Application, run_apart
from tests.serving.conftest import Runs

_WORDS = ["image", "inputs", "outputs", "data", "shape", "datatype", "name", "columns", "row", "method", "parameters"]
_WORDS += ["instances", "dataframe_split", "dataframe_records", "binary_data_size", "request_id", "value", "id", "a.b"]
_TYPES = ["application/json", "text/csv", "text/plain", "image/png", "application/x-ndjson", "", "a/b", "text/csv; x"]
_LEAVES = [None, True, False, 0, -1, 3.5, 1e308, 2**70, "", "x", "FP32", "BYTES", "INT8", "prediction", "é\u2028", "3"]
# These change the server, wait for minutes, or start processes
_LEFT_OUT = {"explain", "reload", "canary", "shadow"}


class Fuzzer:
    """Makes requests: random JSON, and damaged versions of valid ones."""

    def __init__(self, seed: int, valid: list[bytes]) -> None:
        self.random, self.valid = random.Random(seed), valid
        chosen = [route for name, route in routes().items() if name not in _LEFT_OUT]
        self.paths = [
            (route.method, path.replace("{name}", "model").replace("{version}", "1"))
            for route in chosen
            for path in route.paths
        ]

    def request(self) -> tuple[str, str, bytes, dict[str, str]]:
        method, path = self.random.choice(self.paths)
        if self.random.random() < 0.05:
            method, path = (
                self.random.choice(["GET", "POST", "PUT", "X"]),
                path + self.random.choice(["/", "x", "/../", "%00"]),
            )
        headers = {"content-type": self.random.choice(_TYPES if self.random.random() < 0.4 else _TYPES[:1])}
        if self.random.random() < 0.1:
            headers["inference-header-content-length"] = self.random.choice(["0", "3", "999", "-1", "x", "²"])
        return method, path, self._body(), headers

    def _body(self) -> bytes:
        kind = self.random.random()
        if kind < 0.4:
            return json.dumps(self._value(0)).encode()
        if kind < 0.5:
            return self.random.randbytes(self.random.randrange(80))
        text = bytearray(self.random.choice(self.valid))
        for _ in range(self.random.choice([0, 1, 1, 2, 5])):
            place = self.random.randrange(len(text) + 1)
            change = self.random.random()
            if change < 0.3:
                del text[place : place + self.random.randrange(1, 30)]
            elif change < 0.8:
                text[place : place + 1] = self.random.choice([b"", b'"', b"]", b"[", b"9" * 40, b"-", b"null", b"\xff"])
            else:
                text[place:place] = json.dumps(self._value(2)).encode()
        return bytes(text)

    def _value(self, depth: int) -> Any:
        kind = self.random.random()
        if depth > 4 or kind < 0.35:
            return self.random.choice(_LEAVES)
        if kind < 0.65:
            return [self._value(depth + 1) for _ in range(self.random.randrange(4))]
        return {self.random.choice(_WORDS): self._value(depth + 1) for _ in range(self.random.randrange(5))}


def valid_bodies(runs: Runs) -> list[bytes]:
    row = {"image": [[[0] * 8] * 8]}
    tensor = {"name": "image", "shape": [1, 1, 8, 8], "datatype": "FP32", "data": [0] * 64}
    bodies: list[Any] = [row, [row, row], {"inputs": [tensor]}, {"instances": [row]}, {"dataframe_records": [row]}]
    bodies += [{"inputs": [tensor], "outputs": [{"name": "prediction", "parameters": {"binary_data": True}}]}]
    bodies += [{"dataframe_split": {"columns": ["image"], "data": [[row["image"]]]}}]
    return [*(json.dumps(body).encode() for body in bodies), b'image\n"[[1]]"\n']


def fuzz(runs: Runs, folder: Path, seed: int, count: int) -> Counter[int]:
    """Send random requests. Returns the number of answers by status."""
    application, fuzzer = Application(folder, runs.trained), Fuzzer(seed, valid_bodies(runs))
    statuses: Counter[int] = Counter()

    async def send(number: int) -> int:
        memory = 0
        for index in range(number):
            method, path, body, headers = fuzzer.request()
            reply = await application.ask(method, path, body, headers)
            statuses[reply.status] += 1
            assert reply.status < 500, (method, path, body, reply.body)
            if reply.status >= 400:
                assert set(reply.value) == {"error", "request_id"}
                assert reply.value["error"][-1] in ".}"
            if index == number // 3:
                gc.collect()
                memory = psutil.Process().memory_info().rss
        gc.collect()
        return psutil.Process().memory_info().rss - memory

    growth = run_apart(send(count))
    assert growth < 32 * 2**20
    return statuses


def test_random_requests(runs: Runs, tmp_path: Path) -> None:
    statuses = fuzz(runs, tmp_path, 0, 800)
    assert statuses[200] > 50
    assert statuses[400] > 100


@pytest.mark.long
def test_ten_thousand_random_requests(runs: Runs, tmp_path: Path) -> None:
    assert fuzz(runs, tmp_path, 1, 10_000).total() == 10_000
