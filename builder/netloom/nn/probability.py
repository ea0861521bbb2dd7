"""From what a network answers to logits, whatever its last layer makes of them."""

import torch

# The probability nearest to 0, and to 1, that is told from it: 2^-24, half a step of float32 below 1.
NEAREST = 2.0**-24


def logits(output: torch.Tensor, scale: str, family: str) -> torch.Tensor:
    """The logits of an output on the scale `logits`, `probabilities` or `log_probabilities`.

    `softmax`: the logarithms of the probabilities, of which softmax gives these again (of ones that do not add up to 1,
    their shares). `sigmoid`: log p − log(1 − p). A probability of 0 stands for the least number above it, so that no
    loss is infinite; in a sigmoid's answer it lies between 2⁻²⁴ and 1 − 2⁻²⁴. No gradient passes beyond.
    """
    if scale == "logits":
        return output
    if family == "softmax":
        return output if scale == "log_probabilities" else output.clamp(min=torch.finfo(output.dtype).tiny).log()
    if scale == "probabilities":
        return torch.logit(output, eps=max(NEAREST, torch.finfo(output.dtype).eps / 2))
    logs = output.clamp(max=-NEAREST)
    return logs - torch.log(-torch.expm1(logs))
