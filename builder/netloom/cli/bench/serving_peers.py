"""Other servers for the same network, as their documentation shows. Each runs in a process of its own.

Run as `python -m netloom.cli.bench.serving_peers NAME HOME RUN PORT`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ServingPeer:
    """A server to compare with: its title, the packages that it needs, and the function that serves a run of
    a data folder at a port."""

    title: str
    packages: tuple[str, ...]
    serve: Callable[[str, str, int], None]


def _serve_fastapi(home: str, run_id: str, port: int) -> None:
    import torch
    import uvicorn
    from fastapi import FastAPI
    from pydantic import create_model

    from netloom.api import load_run
    from netloom.cli.bench.image_classifier import answer_of, encoded_image

    torch.set_num_threads(1)
    run = load_run(run_id, home=home)
    app, model = FastAPI(), run.model
    row_model = create_model("Row", **{run.fields[0]: (list[list[list[float]]], ...)})  # type: ignore[call-overload]

    def predict(row):  # type: ignore[no-untyped-def]
        image = encoded_image(run, getattr(row, run.fields[0]))
        with torch.inference_mode():
            shares = model(image[None]).softmax(1)
        return answer_of(run, shares[0])

    predict.__annotations__["row"] = row_model
    app.post("/predict")(predict)
    uvicorn.run(app, port=port, access_log=False, log_level="warning")


def _serve_litserve(home: str, run_id: str, port: int) -> None:
    from netloom.cli.bench.litserve_peer import serve

    serve(home, run_id, port)


PEERS = {
    "fastapi": ServingPeer("FastAPI and torch, handwritten", ("fastapi",), _serve_fastapi),
    "litserve": ServingPeer("LitServe, batches of 64", ("litserve",), _serve_litserve),
}


def _main() -> None:
    name, home, run_id, port = sys.argv[1:]
    PEERS[name].serve(home, run_id, int(port))


if __name__ == "__main__":
    _main()
