"""Applies the fixes of issues one after another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netloom.data import Schema
from netloom.document import EditError, Project, apply
from netloom.layers.catalogue import is_auto
from netloom.validation.analysis import analyze
from netloom.validation.issue import Issue

MAX_FIXES = 20  # beyond one per layer


@dataclass(frozen=True)
class FixedProject:
    """A project with fixes.

    Attributes:
        fixed: The issues whose fixes were applied, in their order.
        remaining: The issues that the project still has.
    """

    project: Project
    fixed: tuple[Issue, ...]
    remaining: tuple[Issue, ...]


def with_fixes(project: Project, schema: Schema | None, is_wanted_fix: Callable[[Issue], bool]) -> FixedProject:
    """Return the project after the fixes of its wanted issues, as far as they have one.

    A fix is applied at most once to the same place, so that two fixes cannot undo each other forever. Fixes that remove
    layers or edges are left to people: a mistyped layer would be lost, and then those around it.
    """
    fixed: list[Issue] = []
    tried: set[tuple[str, str, str | None, str]] = set()
    limit = MAX_FIXES + sum(len(network.nodes) for network in project.networks.values())
    while True:
        issues = tuple(analyze(project, schema).issues)
        # One fix at a time, because it can resolve other issues or change their fixes
        fixable = [
            candidate
            for candidate in issues
            if is_wanted_fix(candidate) and _is_automatic(candidate) and _issue_key(candidate) not in tried
        ]
        issue = min(fixable, key=_is_structural, default=None)
        if issue is None or issue.fix is None or len(fixed) >= limit:
            return FixedProject(project, tuple(fixed), issues)
        tried.add(_issue_key(issue))
        try:
            project = apply(project, issue.fix.edit)
        except EditError:
            continue  # it remains
        fixed.append(issue)


def with_auto_sizes(project: Project, schema: Schema | None) -> Project:
    """Return the project with the sizes of its data in place of `auto`. What the data does not determine remains."""
    networks = project.networks.values()
    if not any(
        is_auto(value) for network in networks for node in network.nodes.values() for value in node.params.values()
    ):
        return project
    return with_fixes(project, schema, lambda issue: issue.code == "auto").project


def _is_automatic(issue: Issue) -> bool:
    return issue.fix is not None and issue.fix.edit["kind"] != "remove"


def _is_structural(issue: Issue) -> bool:
    """Return whether a fix does more than set parameters, which can solve the same issue: layers that share weights
    differ in size until both have the sizes of the data."""
    return issue.fix is None or issue.fix.edit["kind"] != "set"


def _issue_key(issue: Issue) -> tuple[str, str, str | None, str]:
    return issue.code, issue.network, issue.node, issue.fix.title if issue.fix else ""
