"""Loads the network of this folder: its PyTorch source, model.py, with its trained weights."""

from pathlib import Path

import torch
from model import Main  # type: ignore[import-not-found]
from safetensors.torch import load_file

FILE = "weights.safetensors"


def load_network(folder: Path) -> torch.nn.Module:
    """Return the network with its trained weights."""
    network: torch.nn.Module = Main()
    network.load_state_dict(load_file(folder / FILE))
    return network.eval()
