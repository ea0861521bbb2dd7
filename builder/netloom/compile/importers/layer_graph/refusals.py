"""The errors of a conversion, as sentences that name the operator of the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from netloom.compile.importers.imported_model import TimeFirstError, UnreadableModelError
from netloom.compile.importers.layer_graph.values import MALFORMED_ERRORS, BatchAxisError, UnsupportedOperatorError
from netloom.core.text import plain


@contextmanager
def refusals_of(operator: str, violated: str) -> Iterator[None]:
    """Context of the conversion of an operator, which is described by its type and place.

    Args:
        violated: What a malformed operator does not do, such as "follow the ONNX specification".

    Raises:
        UnreadableModelError: no layer expresses the operator, or it is malformed.
    """
    try:
        yield
    except UnreadableModelError:  # of an operator in a body, which it names
        raise
    except UnsupportedOperatorError as error:
        refusal = TimeFirstError if isinstance(error, BatchAxisError) else UnreadableModelError
        raise refusal(f"The operator {operator} cannot be imported: {error}.") from None
    except MALFORMED_ERRORS as error:
        raise UnreadableModelError(f"The operator {operator} does not {violated}: {plain(str(error))[:200]}.") from None
