"""LitServe with dynamic batches. It pickles its API for another process, so the class is at the top of a module."""

from typing import Any

import litserve
import torch

from netloom.api import load_run
from netloom.cli.bench.image_classifier import answer_of, encoded_image


class Api(litserve.LitAPI):  # type: ignore[misc]
    """The digits of a run, in batches of 64."""

    def __init__(self, home: str, run_id: str) -> None:
        super().__init__(max_batch_size=64, batch_timeout=0.005)
        self.home, self.run_id = home, run_id

    def setup(self, device: str) -> None:
        torch.set_num_threads(1)
        self.run = load_run(self.run_id, home=self.home)

    # LitServe takes the annotation of the request for a query parameter
    def decode_request(self, request):  # type: ignore[no-untyped-def]
        return encoded_image(self.run, request[self.run.fields[0]])

    def batch(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack(inputs)

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            shares: torch.Tensor = self.run.model(x).softmax(1)
        return shares

    def unbatch(self, output: torch.Tensor) -> list[torch.Tensor]:
        return list(output)

    def encode_response(self, output: torch.Tensor) -> dict[str, Any]:
        return answer_of(self.run, output)


def serve(home: str, run_id: str, port: int) -> None:
    """Serve a run at a port."""
    litserve.LitServer(Api(home, run_id), accelerator="cpu").run(
        host="127.0.0.1", port=port, num_api_servers=1, log_level="warning", generate_client_file=False
    )
