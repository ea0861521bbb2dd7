"""A replay buffer, whose oldest steps are overwritten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

# The columns of a step: their types, and whether they are (capacity, F) like an observation. The names are stored in
# checkpoints.
COLUMNS: dict[str, tuple[type, bool]] = {
    "seen": (np.float32, True),
    "action": (np.int64, False),
    "reward": (np.float32, False),
    "following": (np.float32, True),
    "ended": (np.bool_, False),
    "over": (np.bool_, False),
}


class ReplayBuffer:
    """The last `capacity` steps in the order of writing, as columns of NumPy arrays.

    `ended` marks terminal states, `over` also the time limit of an episode.
    """

    def __init__(self, capacity: int, width: int) -> None:
        self.capacity = capacity
        self.written = 0
        self.columns: dict[str, np.ndarray] = {
            name: np.zeros((capacity, width) if wide else capacity, dtype=kind)
            for name, (kind, wide) in COLUMNS.items()
        }

    def __len__(self) -> int:
        return min(self.written, self.capacity)

    def add(
        self, observation: np.ndarray, action: int, reward: float, next_observation: np.ndarray, ended: bool, over: bool
    ) -> None:
        index = self.written % self.capacity  # overwrites the oldest step once the buffer is full
        columns = self.columns
        columns["seen"][index] = observation
        columns["action"][index] = action
        columns["reward"][index] = reward
        columns["following"][index] = next_observation
        columns["ended"][index] = ended
        columns["over"][index] = over
        self.written += 1

    def forget(self) -> None:
        """Remove all steps."""
        self.written = 0

    def take(self, rows: np.ndarray | slice) -> dict[str, torch.Tensor]:
        """Return these rows as tensors. With a slice, they share memory with the buffer."""
        import torch

        return {name: torch.from_numpy(values[rows]) for name, values in self.columns.items()}

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return copies of the filled part and the number of steps ever written, as tensors."""
        import torch

        contents = {name: torch.from_numpy(values[: len(self)].copy()) for name, values in self.columns.items()}
        return {**contents, "written": torch.tensor([self.written])}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Restore `state`.

        Raises:
            ValueError: the state is larger than the buffer.
        """
        self.written = int(state["written"])
        count = len(state["action"])
        if count != len(self):
            raise ValueError(
                f"The checkpoint contains {count:,} steps, but the replay buffer holds only {self.capacity:,}."
            )
        for name, values in self.columns.items():
            values[:count] = state[name].numpy()
