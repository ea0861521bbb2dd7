"""Settings of a split that have no effect, given the data and the other settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.data.splits.given_splits import TEST, VALIDATION
from netloom.data.splits.registry import method_of

if TYPE_CHECKING:
    from netloom.data.raw_dataset import RawDataset
    from netloom.document import DataChoice


def unread_settings(raw: RawDataset, choice: DataChoice) -> dict[str, str]:
    """Return why settings have no effect on the split, by their names in `DataChoice`; each reason is the end of a
    sentence."""
    method, has_folds = method_of(raw, choice), choice.folds is not None
    given = raw.given if method.uses_given and not has_folds else None
    gives_validation, gives_test = (given is not None and bool((given == part).any()) for part in (VALIDATION, TEST))
    is_ordered = raw.contiguous or raw.times is not None
    unread: dict[str, str] = {}
    if gives_validation:
        unread |= dict.fromkeys(("validation", "validation_of"), "the data gives the validation rows")
    elif not choice.validation:
        unread["validation_of"] = "the share of validation is 0"
    elif gives_test and (is_ordered or raw.groups is not None):
        unread["validation_of"] = "the data gives the test rows, so that the share is one of the training rows"
    if has_folds:
        unread["test"] = "the test rows are those of a fold"
    else:
        unread["fold"] = "there are no folds"
        if gives_test:
            unread["test"] = "the data gives the test rows"
    takes_end_of_training = (
        given is not None and is_ordered and (not gives_test or not (gives_validation or not choice.validation))
    )
    if not method.is_temporal and not takes_end_of_training:
        unread["gap"] = "no rows are separated by time"
    return unread
