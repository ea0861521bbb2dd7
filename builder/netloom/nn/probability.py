"""Conversion of probabilities and log-probabilities to logits."""

import torch

# Half of the machine epsilon of float32, which is the distance from 1 to the largest number below it.
NEAREST = 2.0**-24


def logits(output: torch.Tensor, scale: str, family: str) -> torch.Tensor:
    """The logits of an output on the scale `logits`, `probabilities` or `log_probabilities`, of the same shape.

    `softmax`: the logarithms of the probabilities; the softmax of these is the probabilities again, divided by their
    sum. `sigmoid`: log p − log(1 − p). Probabilities are clamped so that no loss is infinite: for a softmax to the
    smallest positive number of the dtype, for a sigmoid to 2⁻²⁴ and 1 − 2⁻²⁴, or half the machine epsilon of
    a dtype of lower precision. The gradient of a clamped value is zero.
    """
    if scale == "logits":
        return output
    if family == "softmax":
        return output if scale == "log_probabilities" else output.clamp(min=torch.finfo(output.dtype).tiny).log()
    if scale == "probabilities":
        return torch.logit(output, eps=max(NEAREST, torch.finfo(output.dtype).eps / 2))
    # 1 − p = −expm1(log p), which does not cancel as 1 − exp(log p) does; log p must be below 0.
    logs = output.clamp(max=-NEAREST)
    return logs - torch.log(-torch.expm1(logs))
