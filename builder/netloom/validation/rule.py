"""What a rule of validation is, and all rules: each class in `netloom.validation.rules` registers itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from enum import IntEnum
from functools import cache
from typing import ClassVar

from netloom.core.registry import discover
from netloom.validation.context import Context, Totals
from netloom.validation.issue import Issue


class Stage(IntEnum):
    """What a rule is about. Causes come before their consequences: an output may be wrong because the data does not
    fit the task, and of equally severe issues the first is what people read and fix."""

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
    """One thing that may be wrong with a network, and why. Its docstring says what it requires.

    Rules of one stage apply in the order of their modules and lines.
    """

    stage: ClassVar[Stage]
    # Whether it is about the network that is trained; other rules hold in each network that it uses as well.
    is_for_main_only: ClassVar[bool] = False

    @abstractmethod
    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        """Every issue that this rule finds in a network of these sizes."""


@cache
def rules() -> tuple[Rule, ...]:
    """Every rule; those that hold in every network come first."""
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
    """The rules that hold in each network that the main one uses, and without which no code can be written."""
    return tuple(rule for rule in rules() if not rule.is_for_main_only)
