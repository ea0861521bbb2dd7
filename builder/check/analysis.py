"""All that can be known about a project before it runs: shapes, sizes and issues, from one pass over its graphs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from builder.check.context import Context, Family, NodeFacts, Totals
from builder.check.issue import Issue, order
from builder.graph import Edge, Project
from builder.layers import TensorSpec

if TYPE_CHECKING:
    from builder.data import Schema


@dataclass(frozen=True)
class Analysis:
    """The result: every issue, and the main network as it is used; `networks` holds a use of each network by name."""

    issues: list[Issue]
    context: Context
    networks: dict[str, Context]

    @property
    def errors(self) -> list[Issue]:
        return [issue for issue in self.issues if issue.severity == "error"]

    @property
    def nodes(self) -> dict[str, NodeFacts]:
        """The facts of the main network's nodes whose inputs are known."""
        return self.context.nodes

    @property
    def totals(self) -> Totals:
        return self.context.totals

    def edge_spec(self, edge: Edge) -> TensorSpec | None:
        return self.context.spec(edge)


def analyse(project: Project, schema: Schema | None = None) -> Analysis:
    """Measure and check the main network and all that it is made of.

    With the `schema` of the chosen data, inputs and outputs are checked against it as well. Repeated calls cost only
    what an edit changed, as each layer is measured once per input shape. What is wrong in a network that main does not
    use is no more than a warning.
    """
    from builder.check.rules import RULES, RULES_INSIDE

    family = Family(project, schema)
    main = family.use(project.main)
    if main is None:
        raise AssertionError("a family has room for one")
    issues = [issue for rule in RULES for issue in rule.check(main, main.totals)]
    networks = {project.main: main}
    for context in family.contexts[:-1]:
        networks.setdefault(context.name, context)
        issues += [issue for rule in RULES_INSIDE for issue in rule.check(context, context.totals)]
    for name in project.networks:
        if name in networks:
            continue
        apart = Family(project, schema).use(name)
        if apart is not None:
            networks[name] = apart
            found = (issue for rule in RULES_INSIDE for issue in rule.check(apart, apart.totals))
            issues += [replace(issue, severity="warning") if issue.severity == "error" else issue for issue in found]
    # A network that is used twice may be found wrong twice in the same way.
    once = {(issue.code, issue.network, issue.node, issue.port, issue.message): issue for issue in issues}
    return Analysis(order(list(once.values())), main, networks)


def validate(project: Project, schema: Schema | None = None) -> list[Issue]:
    """Every issue of a project, errors first."""
    return analyse(project, schema).issues
