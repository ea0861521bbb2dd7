"""Normalizations with a learned scale and no shift. PyTorch 2.11 has no argument for them."""

from torch import nn


class BatchNorm1dWithoutBias(nn.BatchNorm1d):
    """nn.BatchNorm1d with a learned scale and no shift, as `bias=False` makes it in newer versions of PyTorch."""

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(channels, eps, momentum)
        self.register_parameter("bias", None)


class BatchNorm2dWithoutBias(nn.BatchNorm2d):
    """nn.BatchNorm2d with a learned scale and no shift, as `bias=False` makes it in newer versions of PyTorch."""

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(channels, eps, momentum)
        self.register_parameter("bias", None)


class BatchNorm3dWithoutBias(nn.BatchNorm3d):
    """nn.BatchNorm3d with a learned scale and no shift, as `bias=False` makes it in newer versions of PyTorch."""

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(channels, eps, momentum)
        self.register_parameter("bias", None)


class InstanceNorm1dWithoutBias(nn.InstanceNorm1d):
    """nn.InstanceNorm1d with a learned scale and no shift, as `bias=False` makes it in newer versions of PyTorch."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__(channels, eps, affine=True)
        self.register_parameter("bias", None)


class InstanceNorm2dWithoutBias(nn.InstanceNorm2d):
    """nn.InstanceNorm2d with a learned scale and no shift, as `bias=False` makes it in newer versions of PyTorch."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__(channels, eps, affine=True)
        self.register_parameter("bias", None)


class InstanceNorm3dWithoutBias(nn.InstanceNorm3d):
    """nn.InstanceNorm3d with a learned scale and no shift, as `bias=False` makes it in newer versions of PyTorch."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__(channels, eps, affine=True)
        self.register_parameter("bias", None)


class GroupNormWithoutBias(nn.GroupNorm):
    """nn.GroupNorm with a learned scale and no shift, as `bias=False` makes it in newer versions of PyTorch."""

    def __init__(self, groups: int, channels: int, eps: float = 1e-5) -> None:
        super().__init__(groups, channels, eps)
        self.register_parameter("bias", None)
