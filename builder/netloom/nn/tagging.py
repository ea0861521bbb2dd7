"""Sequence labeling, where the label of a step depends on the labels around it."""

import torch
from torch import nn


class ConditionalRandomField(nn.Module):
    """A linear-chain CRF: emissions (N, T, K) -> the marginal log probability of each label at each step, (N, T, K).

    The score of a path of labels is the sum of its emissions, its transitions, and scores of its first and last label.
    The forward-backward algorithm sums over all paths, in logarithms so that long sequences do not underflow.
    https://repository.upenn.edu/handle/20.500.14332/6188
    """

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.transition = nn.Parameter(torch.randn(labels, labels) * 0.1)  # row: previous label; column: next label
        self.start = nn.Parameter(torch.zeros(labels))
        self.end = nn.Parameter(torch.zeros(labels))

    def forward(self, emissions: torch.Tensor) -> torch.Tensor:
        # before[t]: log sum of the scores of all paths from the start to each label at step t, (N, K)
        before = [emissions[:, 0] + self.start]
        for step in range(1, emissions.shape[1]):
            paths = before[-1].unsqueeze(2) + self.transition  # (N, from, to)
            before.append(emissions[:, step] + paths.logsumexp(dim=1))
        # after, in reverse: the same from each label at step t to the end, without the emission at t, (N, K)
        after = [self.end.expand_as(before[0])]
        for step in range(emissions.shape[1] - 1, 0, -1):
            paths = (after[-1] + emissions[:, step]).unsqueeze(1) + self.transition
            after.append(paths.logsumexp(dim=2))
        scores = torch.stack(before, dim=1) + torch.stack(after[::-1], dim=1)
        # Summed over the labels, every step gives the total of all paths, so the softmax divides by it.
        return scores.log_softmax(dim=2)
