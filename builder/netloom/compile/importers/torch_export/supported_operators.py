"""Which operators of a program can be imported: those with a converter, and those that need none."""

from __future__ import annotations

from netloom.compile.importers.imported_model import UnreadableModelError
from netloom.compile.importers.torch_export.constant_folding import FOLDED, arithmetic
from netloom.compile.importers.torch_export.operators import (  # noqa: F401  (they fill the table)
    attention,
    bags,
    comparison,
    elementwise,
    indexing,
    multihead,
    patches,
    ranking,
    recurrent,
    resizing,
    sampling,
    selection,
    shape,
    signals,
    weighted,
)
from netloom.compile.importers.torch_export.operators.table import OPERATORS
from netloom.compile.importers.torch_export.program import Operator, Program, with_inner
from netloom.core.text import plain

# Operators that only check a program
CHECKS = frozenset(
    "_assert_scalar _assert_async _assert_tensor_metadata sym_constrain_range sym_constrain_range_for_size".split()
)
# Operators that return lengths
LENGTHS = ("sym_size", "sym_numel")
# Operators that have another name in the table
_ALIASES = {"_to_copy": "to", "special_erf": "erf", "arctan": "atan", "silu_": "silu"}

# What to do about operators that no layer can express, by their names
_ADVICE = {
    "cond": "Compute both branches in forward, choose one with torch.where, and export the module again.",
    "while_loop": "Repeat a fixed number of steps instead, such as with torch.scan, and export the module again.",
    "nonzero masked_select unique unique2 _unique2 unique_consecutive":
    "The number of their results depends on the data: multiply by a mask or use torch.where instead.",
    "rand rand_like randn randn_like randint bernoulli multinomial normal":
    "Leave the random numbers out of the evaluation mode, and add a noise layer after the import.",
    "matrix_exp mv vdot mH linalg_householder_product":
    "If they belong to a parametrization, call torch.nn.utils.parametrize.remove_parametrizations before the export.",
    "complex polar view_as_complex fft_fft fft_ifft fft_irfft fft_rfft2 fft_irfft2":
    "Layers have no complex numbers: compute the real and the imaginary part with products of real tensors.",
}  # fmt: skip


def table_name(item: Operator) -> str:
    """The name of an operator in the table; in-place operators such as relu_ have that of their functional form."""
    kind = item.type if item.type in OPERATORS else item.type.rstrip("_")
    return _ALIASES.get(kind, kind)


def check_supported(program: Program) -> None:
    """Check that all operators of a program are supported.

    Raises:
        UnreadableModelError: The message names all that are not.
    """
    unknown = sorted(
        {
            item.target.removeprefix("torch.ops.")
            for item in with_inner(program.operators)
            if item.body is None and not _is_supported(item)
        }
    )
    if unknown:
        names = ", ".join(plain(kind)[:60] for kind in unknown[:12])
        omitted = f" and {len(unknown) - 12} more" if len(unknown) > 12 else ""
        raise UnreadableModelError(
            f"No layer corresponds to these operators of the program: {names}{omitted}. {_advice(unknown)}"
        )


def _advice(unknown: list[str]) -> str:
    """What to change in a module, so that it has operators with a layer."""
    kinds = {name.removeprefix("aten.").removeprefix("higher_order.").split(".")[0] for name in unknown}
    sentences = [advice for names, advice in _ADVICE.items() if kinds & set(names.split())]
    return " ".join(sentences) or "Replace them in forward with other operators, and export the module again."


def is_shape_arithmetic(item: Operator) -> bool:
    """Whether an operator computes only lengths, which several modules may read."""
    return item.type == "sym_size" or arithmetic(item.target) is not None


def _is_supported(item: Operator) -> bool:
    kind = table_name(item)
    has_rule = kind in OPERATORS or kind in FOLDED or kind in CHECKS or kind in LENGTHS
    return has_rule or arithmetic(item.target) is not None
