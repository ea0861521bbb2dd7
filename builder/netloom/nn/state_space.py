"""State space models, whose linear recurrences are computed for all steps in parallel."""

import math

import torch
from torch import nn


class LinearRecurrence(nn.Module):
    """h_t = decay_t · h_(t-1) + drive_t along axis 1, all steps at once: (N, T, …), (N, T, …) -> (N, T, …).

    A parallel scan: adjacent steps are combined into pairs, the recurrence of the pairs is solved recursively, and the
    steps in between follow from it. This takes about 2 T multiplications in 2 log₂ T rounds, without logarithms of
    `decay`, which may therefore be zero or negative.
    https://www.cs.cmu.edu/~guyb/papers/Ble93.pdf
    """

    def forward(self, decay: torch.Tensor, drive: torch.Tensor) -> torch.Tensor:
        return self.scan(decay, drive)

    def scan(self, decay: torch.Tensor, drive: torch.Tensor) -> torch.Tensor:
        steps = drive.shape[1]
        if steps == 1:
            return drive
        pairs = steps // 2
        first, second = drive[:, 0::2], drive[:, 1::2]
        keep, keep_second = decay[:, 0::2], decay[:, 1::2]
        # With decay d and drive x: h_(t+1) = (d_(t+1) d_t) h_(t-1) + (x_(t+1) + d_(t+1) x_t), the odd steps.
        odd = self.scan(keep_second * keep[:, :pairs], second + keep_second * first[:, :pairs])
        even = torch.cat((first[:, :1], first[:, 1:] + keep[:, 1:] * odd[:, : first.shape[1] - 1]), dim=1)
        both = torch.stack((even[:, :pairs], odd), dim=2).flatten(1, 2)
        return both if steps % 2 == 0 else torch.cat((both, even[:, pairs:]), dim=1)


class DiagonalStateSpace(nn.Module):
    """A linear state space with a diagonal matrix for each channel, (N, T, D) -> (N, T, D).

    h' = A h + u, y = C h + D u, discretized with zero-order hold and a step size Δ per channel. The sequence is
    convolved by FFT with the impulse response y_l = C A⁻¹ (exp(Δ A) - 1) exp(Δ A l). Complex: A = -1/2 + iπn in
    conjugate pairs (S4D-Lin); real: A = -(n + 1) (S4D-Real). https://arxiv.org/abs/2206.11893
    """

    def __init__(self, dim: int, state: int = 64, real: bool = False) -> None:
        super().__init__()
        if not real and state % 2:
            raise ValueError(f"complex states come in pairs, so the size of the state must be even, received {state}")
        self.real = real
        modes = state if real else state // 2
        number = torch.arange(modes).float().expand(dim, modes)
        # Δ is initialized log-uniformly between 0.001 and 0.1, as in S4.
        low, high = math.log(0.001), math.log(0.1)
        self.log_step = nn.Parameter(torch.rand(dim) * (high - low) + low)
        self.log_decay = nn.Parameter((number + 1).log() if real else torch.full((dim, modes), math.log(0.5)))
        if real:
            self.read = nn.Parameter(torch.randn(dim, modes))
        else:
            self.frequency = nn.Parameter(math.pi * number)
            self.read = nn.Parameter(torch.randn(dim, modes, 2) * math.sqrt(0.5))  # C, complex with variance 1
        self.skip = nn.Parameter(torch.randn(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps = x.shape[1]
        u = x.transpose(1, 2)  # (N, D, T)
        exact = torch.promote_types(x.dtype, torch.float32)
        kernel = self.kernel(steps).to(exact)
        # Zero padding to 2 T turns the circular convolution of the FFT into a causal one.
        spectrum = torch.fft.rfft(u.to(exact), n=2 * steps) * torch.fft.rfft(kernel, n=2 * steps)
        y = torch.fft.irfft(spectrum, n=2 * steps)[..., :steps].to(x.dtype)
        out: torch.Tensor = (y + self.skip.unsqueeze(1) * u).transpose(1, 2)
        return out

    def kernel(self, steps: int) -> torch.Tensor:
        """The impulse response, (D, steps)."""
        step = self.log_step.exp().unsqueeze(1)
        time = torch.arange(steps, device=step.device, dtype=step.dtype)
        a = -self.log_decay.exp()  # (D, modes), always negative: the state decays
        fall = (a * step).unsqueeze(2) * time  # (D, modes, T)
        if self.real:
            return ((self.read * torch.expm1(a * step) / a).unsqueeze(2) * fall.exp()).sum(dim=1)
        # Real and imaginary parts instead of complex tensors: a conjugate pair gives twice the real part of
        # c·exp(Δ A l), where c = C A⁻¹ (exp(Δ A) - 1).
        # expm1 and sin² instead of exp(…)·cos(…) - 1, which cancels for small steps.
        swing = self.frequency * step
        real = torch.expm1(a * step) * swing.cos() - 2 * (swing / 2).sin().square()  # of exp(Δ A) - 1
        imaginary = (a * step).exp() * swing.sin()
        norm = a.square() + self.frequency.square()
        real, imaginary = (
            (real * a + imaginary * self.frequency) / norm,
            (imaginary * a - real * self.frequency) / norm,
        )
        first, second = self.read.unbind(dim=2)
        real, imaginary = first * real - second * imaginary, first * imaginary + second * real
        angle = swing.unsqueeze(2) * time
        waves = real.unsqueeze(2) * angle.cos() - imaginary.unsqueeze(2) * angle.sin()
        return 2 * (fall.exp() * waves).sum(dim=1)


class S4D(nn.Module):
    """A diagonal state space per channel, a GELU, and a gated mix of the channels, (N, T, D) -> (N, T, D).

    If `both_ways`, a second state space reads the sequence in reverse. https://arxiv.org/abs/2206.11893
    """

    def __init__(
        self, dim: int, state: int = 64, real: bool = False, both_ways: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.forwards = DiagonalStateSpace(dim, state, real)
        self.backwards = DiagonalStateSpace(dim, state, real) if both_ways else None
        self.activation = nn.GELU()
        self.dropout = nn.Dropout(dropout)
        self.mix = nn.Linear(dim, 2 * dim)
        self.gate = nn.GLU(dim=-1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.forwards(x)
        if self.backwards is not None:
            y = y + self.backwards(x.flip(1)).flip(1)
        out: torch.Tensor = self.gate(self.mix(self.dropout(self.activation(y))))
        return out


class Mamba(nn.Module):
    """A selective state space: step size, input and output depend on the input, (N, T, D) -> (N, T, D).

    h_t = exp(Δ_t A) h_(t-1) + Δ_t B_t u_t, y_t = C_t h_t + D u_t, with Δ, B and C projected from u; u is the input
    after a short causal convolution, and a gate multiplies y. E is `expand` · D, S is `state`.
    https://arxiv.org/abs/2312.00752
    """

    def __init__(
        self, dim: int, state: int = 16, kernel_size: int = 4, expand: int = 2, rank: int | None = None
    ) -> None:
        super().__init__()
        inner = expand * dim
        self.state = state
        self.rank = math.ceil(dim / 16) if rank is None else rank
        self.in_proj = nn.Linear(dim, 2 * inner, bias=False)
        self.conv = nn.Conv1d(inner, inner, kernel_size, groups=inner, padding=kernel_size - 1)
        self.activation = nn.SiLU()
        self.x_proj = nn.Linear(inner, self.rank + 2 * state, bias=False)
        self.dt_proj = nn.Linear(self.rank, inner)
        self.softplus = nn.Softplus()
        # A = −1, …, −S in every channel, the initialization S4D-Real
        self.log_decay = nn.Parameter(torch.arange(1, state + 1).float().log().repeat(inner, 1))
        self.skip = nn.Parameter(torch.ones(inner))
        self.recurrence = LinearRecurrence()
        self.gate = nn.SiLU()
        self.out_proj = nn.Linear(inner, dim, bias=False)
        self.reset_steps()

    def reset_steps(self) -> None:
        """Initialize the step sizes Δ log-uniformly between 0.001 and 0.1."""
        low, high = math.log(0.001), math.log(0.1)
        nn.init.uniform_(self.dt_proj.weight, -(self.rank**-0.5), self.rank**-0.5)
        with torch.no_grad():
            step = (torch.rand_like(self.dt_proj.bias) * (high - low) + low).exp()
            self.dt_proj.bias.copy_(step + (-torch.expm1(-step)).log())  # the inverse of softplus

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        u, z = self.in_proj(x).chunk(2, dim=-1)  # (N, T, E)
        # The convolution pads both ends; cutting the end off makes it causal.
        u = self.activation(self.conv(u.transpose(1, 2))[..., : x.shape[1]].transpose(1, 2))
        low, write, read = self.x_proj(u).split((self.rank, self.state, self.state), dim=-1)
        step = self.softplus(self.dt_proj(low))  # (N, T, E)
        decay = (step.unsqueeze(-1) * -self.log_decay.exp()).exp()  # (N, T, E, S)
        # B is discretized by Euler's rule, as in the code of the authors; the paper has zero-order hold.
        drive = (step * u).unsqueeze(-1) * write.unsqueeze(2)  # (N, T, E, S)
        states = self.recurrence(decay, drive)
        y = (states @ read.unsqueeze(-1)).squeeze(-1) + self.skip * u  # (N, T, E)
        out: torch.Tensor = self.out_proj(y * self.gate(z))
        return out


class MambaBlock(nn.Module):
    """x + mamba(norm(x)) with an RMS norm, (N, T, D) -> (N, T, D). https://arxiv.org/abs/2312.00752"""

    def __init__(
        self, dim: int, state: int = 16, kernel_size: int = 4, expand: int = 2, rank: int | None = None
    ) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(dim, 1e-5)
        self.mixer = Mamba(dim, state, kernel_size, expand, rank)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = x + self.mixer(self.norm(x))
        return out
