"""All that can be known about a project before it runs: shapes, sizes and issues, from one pass over its graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from netloom.document import Edge, Project
from netloom.layers import TensorSpec
from netloom.validation.context import Context, Family, NodeFacts, Totals
from netloom.validation.faults import fault
from netloom.validation.issue import Issue, Severity, order
from netloom.validation.rule import Rule, rules, rules_of_every_network

if TYPE_CHECKING:
    from netloom.data import Schema


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


def analyse(project: Project, schema: Schema | None = None, before: Analysis | None = None) -> Analysis:
    """Measure and check the main network and all that it is made of.

    With the `schema` of the chosen data, inputs and outputs are checked against it as well. Repeated calls cost only
    what an edit changed, as each layer is measured once per input shape. What is wrong in a network that main does not
    use is no more than a warning.

    Nothing is raised: what Netloom itself fails at becomes an issue, and what is not known for it is taken from the
    analysis `before`.
    """
    try:
        return _analyse(project, schema, before.networks if before else {})
    except Exception as error:
        return unknown(project, schema, before, error)


def _analyse(project: Project, schema: Schema | None, before: Mapping[str, Context]) -> Analysis:
    family = Family(project, schema, before)
    main = family.use(project.main)
    if main is None:
        raise AssertionError("a context family must have at least one entry")
    issues = _found(main, rules())
    networks = {project.main: main}
    for context in family.contexts[:-1]:
        networks.setdefault(context.name, context)
        issues += _found(context, rules_of_every_network())
    # Those that main does not use share what they use of each other: a chain of them would be measured over and over.
    families = [family, Family(project, schema, before)]
    for name in project.networks:
        if name in networks:
            continue
        alone = families[-1].use(name)
        if alone is None:  # it is full
            families.append(Family(project, schema, before))
            alone = families[-1].use(name)
        if alone is not None:
            networks[name] = alone
            found = _found(alone, rules_of_every_network())
            issues += [replace(issue, severity="warning") if issue.severity == "error" else issue for issue in found]
    issues += [issue for each in families for issue in each.settle()]
    # A network that is used twice may be found wrong twice in the same way, and what is found first weighs most.
    once: dict[object, Issue] = {}
    for issue in issues:
        once.setdefault((issue.code, issue.network, issue.node, issue.port, issue.message), issue)
    return Analysis(order(list(once.values())), main, networks)


def _found(context: Context, rules: Sequence[Rule]) -> list[Issue]:
    """What the rules find. One that fails takes none of the others along; without those that hold in every network,
    code might be written that means nothing."""
    issues: list[Issue] = []
    for rule in rules:
        try:
            issues += rule.check(context, context.totals)
        except Exception as error:
            severity: Severity = "warning" if rule.is_for_main_only else "error"
            issues.append(fault(error, f"check: {_title(rule)}", context.project.main, severity=severity))
    return issues


def _title(rule: Rule) -> str:
    """What a rule asks for, in its own words."""
    return f"{type(rule).__name__}, {(type(rule).__doc__ or '').strip().partition('.')[0]}"


def unknown(project: Project, schema: Schema | None, before: Analysis | None, error: Exception) -> Analysis:
    """The analysis where none could be made: the issue that says so, over what was known before."""
    family, networks = Family(project, schema), dict[str, Context]()
    for name, network in project.networks.items():
        context = networks[name] = Context(project, name, schema, family, network.parameters)
        old = before.networks.get(name) if before else None
        same = {key for key in network.nodes if old and key in old.network.nodes}
        same = {key for key in same if old and old.network.nodes[key].type == network.nodes[key].type}
        if old:
            context.layers = {key: layer for key, layer in old.layers.items() if key in same}
            context.measured = {key: measured for key, measured in old.measured.items() if key in same}
        # What these are worked out from is what may have failed.
        context.__dict__ |= {"order": list(network.nodes), "circling": set()}
        context.before = old
        _ = context.totals
        context.before = None
    issue = fault(error, "check this project", project.main)
    return Analysis([issue], networks[project.main], networks)


def validate(project: Project, schema: Schema | None = None) -> list[Issue]:
    """Every issue of a project, errors first."""
    return analyse(project, schema).issues
