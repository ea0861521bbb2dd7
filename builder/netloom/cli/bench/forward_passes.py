"""Forward and backward passes of generated networks against handwritten ones, measured in turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from netloom.cli.bench.ratio import Ratio, ratio
from netloom.cli.bench.timer import now
from netloom.compile import module
from netloom.templates import architectures

STEPS = 128  # of GPT-2's 1,024, so that a measurement takes seconds


@dataclass(frozen=True)
class PassTime:
    """The time of the generated network relative to the handwritten one: forward, and forward plus backward."""

    title: str
    forward: Ratio
    training: Ratio


def measure_passes(repeats: int, device: str = "cpu") -> list[PassTime]:
    """Measure each architecture in `TWINS` on a device; on the CPU, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [_measure_architecture(name, twin, batch(), repeats, device) for name, (twin, batch) in TWINS.items()]
    finally:
        torch.set_num_threads(threads)


def _measure_architecture(
    name: str, twin: Callable[[], nn.Module], batch: Tensor, repeats: int, device: str
) -> PassTime:
    architecture = architectures()[name]
    netloom_module, handwritten = module(architecture.project), twin()
    if count_parameters(handwritten) != architecture.parameters:
        raise ValueError(
            f"The handwritten network does not match {architecture.title}: it has {count_parameters(handwritten):,} "
            f"parameters, expected {architecture.parameters:,}."
        )
    netloom_module, handwritten, batch = netloom_module.to(device), handwritten.to(device), batch.to(device)
    ratios = {}
    for measure_pass in (_time_forward, _time_forward_backward):
        times: tuple[list[float], list[float]] = [], []
        for repeat in range(repeats + 1):
            for network_index, candidate in enumerate((netloom_module, handwritten)):
                seconds = measure_pass(candidate, batch, device)
                if repeat:  # the first repeat is a warm-up
                    times[network_index].append(seconds)
        ratios[measure_pass] = ratio(*times)
    return PassTime(architecture.title, ratios[_time_forward], ratios[_time_forward_backward])


def count_parameters(network: nn.Module) -> int:
    """Return the number of parameters; shared ones count once."""
    return sum(parameter.numel() for parameter in network.parameters())


def _time_forward(network: nn.Module, batch: Tensor, device: str) -> float:
    network.eval()
    start = now(device)
    with torch.no_grad():
        network(batch)
    return now(device) - start


def _time_forward_backward(network: nn.Module, batch: Tensor, device: str) -> float:
    network.train()
    network.zero_grad(set_to_none=True)
    start = now(device)
    network(batch).mean().backward()  # any scalar will do; the cost is that of the network
    return now(device) - start


class BasicBlock(nn.Module):
    """The block of ResNet-18, (N, C, H, W) -> (N, filters, H/stride, W/stride)."""

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(filters)
        self.relu = nn.ReLU()
        self.side = nn.Sequential()
        if stride > 1:
            self.side = nn.Sequential(nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm2(self.conv2(self.relu(self.norm1(self.conv1(x)))))
        out: Tensor = self.relu(inner + self.side(x))
        return out


class GPTBlock(nn.Module):
    """The block of GPT-2, (N, T, D) -> (N, T, D)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query_key_value, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.feed_forward = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        # (N, T, D) -> (N, T, 3 D) -> three of (N, T, D), each -> (N, heads, T, D/heads)
        parts = self.query_key_value(self.norm1(x)).chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).flatten(2))  # (N, heads, T, D/heads) -> (N, T, D)
        out: Tensor = x + self.feed_forward(self.norm2(x))
        return out


class GPT(nn.Module):
    """GPT-2 small, (N, T) -> (N, T, vocabulary)."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(50_257, 768), nn.Parameter(torch.zeros(1, 1_024, 768))
        self.blocks = nn.Sequential(*[GPTBlock(768, 12) for _ in range(12)])
        self.norm = nn.LayerNorm(768)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.blocks(self.tokens(x) + self.places[:, : x.shape[1]])
        return functional.linear(self.norm(hidden), self.tokens.weight)  # GPT-2 ties the output to the embedding


def resnet18() -> nn.Module:
    """ResNet-18, (N, 3, 224, 224) -> (N, 1000)."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    layers.append(nn.MaxPool2d(3, 2, 1))
    channels = 64
    for filters, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [BasicBlock(channels, filters, stride), BasicBlock(filters, filters, 1)]
        channels = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


TWINS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any]]] = {
    "resnet18": (resnet18, lambda: torch.randn(2, 3, 224, 224)),
    "gpt2": (GPT, lambda: torch.randint(0, 50_257, (1, STEPS))),
}
