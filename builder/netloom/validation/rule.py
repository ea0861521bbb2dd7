"""The base class and the registry of validation rules; each class in `netloom.validation.rules` registers itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from enum import IntEnum
from functools import cache
from typing import ClassVar

from netloom.core.registry import discover
from netloom.validation.context import Context
from netloom.validation.facts import Totals
from netloom.validation.issue import Issue


class Stage(IntEnum):
    """The subject of a rule, in the order of checking.

    Causes precede consequences: an output may be wrong only because the data does not fit the task, and users read and
    fix the first of equally severe issues.
    """

    PARAMETERS = 0
    STRUCTURE = 1
    FLOW = 2
    NETWORKS = 3
    CODE = 4
    DATA = 5
    TASK = 6
    TRAINING = 7
    RESOURCES = 8


class Rule(ABC):
    """One requirement of a network. The first sentence of its docstring is shown if the rule raises an exception.

    Rules of one stage apply in the order of their modules and lines.
    """

    stage: ClassVar[Stage]
    # Whether the rule applies only to the trained network; other rules apply to each network that it uses as well.
    is_for_main_only: ClassVar[bool] = False

    @abstractmethod
    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        """Yield every issue that this rule finds in a measured network."""


@cache
def rules() -> tuple[Rule, ...]:
    """Return all rules; those that apply to every network come first."""
    declared = discover(
        Rule,
        "netloom.validation.rules",
        declared_by="stage",
        name=lambda rule: rule.__name__,
        order=lambda rule: (rule.is_for_main_only, rule.stage),
    )
    return tuple(rule() for rule in declared.values())


@cache
def rules_of_every_network() -> tuple[Rule, ...]:
    """Return the rules that apply to each network that main uses; a network that breaks them cannot be compiled."""
    return tuple(rule for rule in rules() if not rule.is_for_main_only)
