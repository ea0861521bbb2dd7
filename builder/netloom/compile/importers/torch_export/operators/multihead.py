"""Conversion of nn.MultiheadAttention, which torch.export decomposes into about two dozen operators, into one layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.attention import is_causal
from netloom.compile.importers.layer_graph.graph_builder import GraphBuilder
from netloom.compile.importers.layer_graph.values import Array, Constant, Tensor, UnsupportedOperatorError
from netloom.compile.importers.torch_export.program import Module, Operator, Program, Reference

_EXPECTED = frozenset(
    "transpose linear unflatten unsqueeze squeeze contiguous select view reshape permute mul "
    "scaled_dot_product_attention div bmm baddbmm softmax dropout mean split split_with_sizes chunk expand clone zeros "
    "masked_fill add full to alias".split()
)


def multihead_module(item: Operator) -> Module | None:
    """The nn.MultiheadAttention to which an operator belongs; None if there is none."""
    return next((module for module in item.stack if module.kind.endswith(".MultiheadAttention")), None)


def _dropout_rate(item: Operator) -> float:
    """The dropout rate of an operator; it is greater than 0 only if the program was exported in training mode."""
    rate = item.args.get("dropout_p" if item.type == "scaled_dot_product_attention" else "p")
    return float(rate) if item.type in ("scaled_dot_product_attention", "dropout") and isinstance(rate, float) else 0.0


@dataclass
class Multihead:
    """The operators of one call of the module."""

    module: Module
    items: Sequence[Operator]
    program: Program
    values: dict[str, Any]
    tensors: Mapping[str, Array]
    compute: Callable[[Operator], None]
    needed: set[str]
    dropout: float = 0.0

    def add_layer(self, builder: GraphBuilder) -> bool:
        """Add the layer and register its output. Returns False if no layer expresses the module.

        In that case, no output is registered, so that the operators can be converted one by one.
        """
        weights = self._weights()
        outputs = self._outputs_read()
        root_names = self._roots()
        if (
            len(outputs) != 1
            or not root_names
            or "in_proj_weight" not in weights
            or "out_proj.weight" not in weights
            or ("in_proj_bias" in weights) != ("out_proj.bias" in weights)
            or set(weights) - {"in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"}
            or any(item.type not in _EXPECTED for item in self.items)
        ):
            return False
        sources = [self.values[root] for root in root_names]
        batch_first = self._batch_first(set(root_names))
        inputs = [self._to_batch_first(builder, source, batch_first) for source in sources]
        mask = self._mask()
        heads = self._heads(weights["in_proj_weight"].shape[1])
        if mask is None or heads is None or any(part is None for part in inputs) or (mask and len(inputs) > 1):
            return False
        attention = self._layer(builder, inputs, heads, mask, weights)
        # (N, T, D) or, without batch_first, (T, N, D)
        self.values[outputs[0]] = attention if batch_first else replace(attention, axes=((1,), (0,), (2,)))
        return True

    def _layer(
        self, builder: GraphBuilder, inputs_: list[Any], heads: int, causal: bool, weights: Mapping[str, Array]
    ) -> Tensor:
        biased = "in_proj_bias" in weights
        kind = "CrossAttention" if len(inputs_) > 1 else "MultiHeadAttention" if biased else "SelfAttention"
        params: dict[str, Any] = {"heads": heads} | ({"causal": True} if causal else {})
        params |= {} if biased else {"bias": False}
        rate = next((rate for item in self.items if (rate := _dropout_rate(item))), self.dropout)
        params |= {"dropout": round(rate, 9)} if 0 < rate < 1 else {}
        parts: dict[str, Array] = {}
        for leaf in ("weight", "bias")[: 1 + biased]:
            # in_proj_weight (3 · D, D) stacks the weights of queries, keys and values.
            rows = np.split(weights[f"in_proj_{leaf}"], 3)
            parts |= {f"{name}.{leaf}": rows[index] for index, name in enumerate("qkv")}
            parts[f"out.{leaf}"] = weights[f"out_proj.{leaf}"]
        tensors_by_port = dict(zip(("in", "memory"), inputs_, strict=False))
        return builder.add_layer(kind, tensors_by_port, self.module.path, weights=parts, **params)

    def _weights(self) -> dict[str, Array]:
        """The weights of the module by their names within it."""
        weights: dict[str, Array] = {}
        for item in self.items:
            for name in item.reads():
                weight_name = self.program.weights.get(name, "")
                if weight_name in self.tensors and name not in self.program.buffers:
                    weights[weight_name.removeprefix(f"{self.module.path}.")] = self.tensors[weight_name]
        return weights

    def _outputs_read(self) -> list[str]:
        """The outputs of the module that operators outside of it read."""
        members = {item.name for item in self.items}
        other_operators = [
            other_operator for other_operator in self.program.operators if other_operator.name in self.needed - members
        ]
        read = {name for other_operator in other_operators for name in other_operator.reads()}
        return [name for item in self.items for name in item.names() if name in read | set(self.program.outputs)]

    def _roots(self) -> list[str]:
        """The source of the queries, and that of keys and values if it differs; empty if there are other sources."""
        producers = {name: item for item in self.items for name in item.names()}
        roots: list[str] = []
        for item in self.items:
            weight = item.args.get("weight")
            if item.type != "linear" or not isinstance(weight, Reference):
                continue
            if self.program.weights.get(weight.name, "").endswith("out_proj.weight"):
                continue
            name = item.args["input"].name
            # Back through the operators of the module to the tensor that it reads
            while name in producers:
                name = producers[name].reads()[0]
            roots.append(name)
        if not roots or any(not isinstance(self.values.get(name), Tensor) for name in roots):
            return []
        if len(set(roots)) == 1:
            return roots[:1]
        return [roots[0], roots[-1]] if len(set(roots[1:])) == 1 and roots[0] != roots[-1] else []

    def _batch_first(self, roots: set[str]) -> bool:
        """Whether the module has batch_first set: it then transposes its inputs to (T, N, D) first."""
        return any(
            item.type == "transpose" and item.reads()[0] in roots and {item.args["dim0"], item.args["dim1"]} == {0, 1}
            for item in self.items
        )

    def _to_batch_first(self, builder: GraphBuilder, value: Tensor, batch_first: bool) -> Tensor | None:
        """An input as (N, T, D); None if it does not have these axes."""
        if value.rank != 3 or value.batch != (0 if batch_first else 1) or value.spec.dtype != "float":
            return None
        if not batch_first:
            value = replace(value, axes=(value.axes[1], value.axes[0], value.axes[2]))
        try:
            return builder.to_batch_first(value)
        except UnsupportedOperatorError:
            return None

    def _mask(self) -> bool | None:
        """Whether the attention is causal; None if it has any other mask."""
        causal = False
        for item in self.items:
            mask = None
            if item.type == "scaled_dot_product_attention":
                causal, mask = bool(item.args.get("is_causal", False)), item.args.get("attn_mask")
            elif item.type == "baddbmm":
                mask = item.args["self"]
            elif item.type in ("add", "masked_fill"):
                return None
            if isinstance(mask, Reference):
                value = self._known(mask.name)
                if not isinstance(value, Constant) or not is_causal(value.array):
                    return None
                causal = True
        return causal

    def _known(self, name: str) -> Any:
        """A value that does not depend on the inputs of the network, which is computed first if necessary."""
        producers = {output_name: item for item in self.items for output_name in item.names()}
        if name in producers and name not in self.values:
            for read in producers[name].reads():
                if not isinstance(self._known(read), Constant):
                    return None
            self.compute(producers[name])
        if name in self.program.weights:
            weight_name = self.program.weights[name]
            return Constant(self.tensors[weight_name]) if weight_name in self.tensors else None
        return self.values.get(name)

    def _heads(self, width: int) -> int | None:
        """The number of heads, derived from the width of one head; None if it cannot be determined."""
        for item in self.items:
            if item.type in ("scaled_dot_product_attention", "bmm", "baddbmm"):
                name = next(
                    iter(
                        [ref for key in ("query", "batch1", "self") if isinstance(ref := item.args.get(key), Reference)]
                    )
                )
                head_width = self.program.widths.get(name.name, 0)
                return width // head_width if head_width and width % head_width == 0 else None
        return None
