"""All uses of private interfaces of Captum, each with its reason; no other module may have any.

A version of Captum can change any of them without notice. So its version has an upper bound in pyproject.toml, and
tests/core/test_captum_internals.py reports which of them has changed. Captum is imported when first needed.
"""

from __future__ import annotations

from typing import Any


def epsilon_rule() -> Any:
    """Return a rule of LRP for the attribute `rule` of one layer: relevance in proportion to each contribution.

    The documentation of `captum.attr.LRP` says to set this attribute, but no public module has the rules.
    """
    from captum.attr._utils.lrp_rules import EpsilonRule

    return EpsilonRule()
