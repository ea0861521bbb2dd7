"""The few modules that PyTorch lacks. They import torch alone; the compiler copies their source into what it writes."""

from builder.nn.attention import MultiHeadAttention, PositionalEmbedding, TransformerEncoderBlock
from builder.nn.merge import Add, Concat, Multiply
from builder.nn.recurrent import GRU, LSTM
from builder.nn.shape import GlobalAvgPool, GlobalMaxPool, Max, Mean, Permute, Reshape

__all__ = [
    "GRU",
    "LSTM",
    "Add",
    "Concat",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "Max",
    "Mean",
    "MultiHeadAttention",
    "Multiply",
    "Permute",
    "PositionalEmbedding",
    "Reshape",
    "TransformerEncoderBlock",
]
