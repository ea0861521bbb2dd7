"""The analysis of a project before it runs: shapes, sizes and issues, from one pass over its networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from netloom.core.errors import JobError
from netloom.document import Edge, Project
from netloom.layers import TensorSpec
from netloom.validation.context import Context
from netloom.validation.context_cache import ContextCache
from netloom.validation.facts import NodeFacts, Totals
from netloom.validation.faults import fault
from netloom.validation.issue import Issue, Severity, by_severity
from netloom.validation.measure import Measure, measure
from netloom.validation.measurements import UnknownLayerError, keep, known_measurement, measure_networks
from netloom.validation.rule import Rule, rules, rules_of_every_network

if TYPE_CHECKING:
    from netloom.data import Schema

T = TypeVar("T")


@dataclass(frozen=True)
class Analysis:
    """All issues, the context of the main network, and one context of each network by name."""

    issues: list[Issue]
    context: Context
    networks: dict[str, Context]

    @property
    def errors(self) -> list[Issue]:
        return [issue for issue in self.issues if issue.severity == "error"]

    @property
    def network_errors(self) -> list[Issue]:
        """The errors of the network itself, without those that prevent only its training."""
        return [issue for issue in self.errors if not issue.training_only]

    @property
    def nodes(self) -> dict[str, NodeFacts]:
        """The measurements of the nodes of the main network whose input shapes are known."""
        return self.context.nodes

    @property
    def totals(self) -> Totals:
        return self.context.totals

    def edge_spec(self, edge: Edge) -> TensorSpec | None:
        return self.context.spec(edge)


def analyze(project: Project, schema: Schema | None = None, before: Analysis | None = None) -> Analysis:
    """Measure and check the main network and the networks that it uses.

    With the `schema` of the chosen data, inputs and outputs are checked against it as well. Repeated calls cost only
    what an edit changed, because each layer is measured once per input shape. An error in a network that main does not
    use becomes a warning.

    A failure of Netloom itself becomes an issue, and the analysis `before` fills the gaps.

    Raises:
        JobError: a worker measures layers for this process, and it ended; the next call tries again.
    """
    networks = before.networks if before else {}
    try:
        return with_measurements(project, lambda measure: _analyze(project, schema, networks, measure))
    except JobError:
        raise
    except Exception as error:
        return failed_analysis(project, schema, before, error)


def with_measurements(project: Project, compute: Callable[[Measure], T]) -> T:
    """Return the result of a function that measures the layers of a project by the function that it receives. A web
    server reads the measurements of a worker.

    Raises:
        JobError: the worker ended; the next call tries again.
    """
    if not measure_networks.is_delegated:
        return compute(measure)
    try:
        return compute(known_measurement)
    except UnknownLayerError:
        measurements = measure_networks(project)
    keep(measurements.layers)
    return compute(measurements.read)


def _analyze(project: Project, schema: Schema | None, before: Mapping[str, Context], measure: Measure) -> Analysis:
    cache = ContextCache(project, schema, before, measure)
    main = cache.use(project.main)
    if main is None:
        raise AssertionError("the main network could not be measured")
    issues = _apply(main, rules())
    networks = {project.main: main}
    # The last context is that of main, because a context is added after those of the networks in it.
    for context in cache.contexts[:-1]:
        networks.setdefault(context.name, context)
        issues += _apply(context, rules_of_every_network())
    # Networks that main does not use share a cache: otherwise a chain of them would be measured again for each.
    caches = [cache, ContextCache(project, schema, before, measure)]
    for name in project.networks:
        if name in networks:
            continue
        unused = caches[-1].use(name)
        if unused is None:  # the cache is full
            caches.append(ContextCache(project, schema, before, measure))
            unused = caches[-1].use(name)
        if unused is not None:
            networks[name] = unused
            inner_issues = _apply(unused, rules_of_every_network())
            issues += [
                replace(issue, severity="warning") if issue.severity == "error" else issue for issue in inner_issues
            ]
    issues += [issue for cache in caches for issue in cache.finish()]
    # A network that is used twice may have the same issue twice; the first is kept, which may be an error.
    unique: dict[object, Issue] = {}
    for issue in issues:
        unique.setdefault((issue.code, issue.network, issue.node, issue.port, issue.message), issue)
    return Analysis(by_severity(list(unique.values())), main, networks)


def _apply(context: Context, rules: Sequence[Rule]) -> list[Issue]:
    """Return the issues of rules. A rule that fails becomes an issue itself and does not stop the others.

    This issue is an error if the rule applies to every network, because code could otherwise be generated from an
    invalid network.
    """
    issues: list[Issue] = []
    for rule in rules:
        try:
            issues += rule.check(context, context.totals)
        except Exception as error:
            severity: Severity = "warning" if rule.is_for_main_only else "error"
            issues.append(fault(error, f"check: {_title(rule)}", context.project.main, severity=severity))
    return issues


def _title(rule: Rule) -> str:
    """Return the name of a rule and the first sentence of its docstring, for the message about its failure."""
    return f"{type(rule).__name__}, {(type(rule).__doc__ or '').strip().partition('.')[0]}"


def failed_analysis(project: Project, schema: Schema | None, before: Analysis | None, error: Exception) -> Analysis:
    """Return an analysis in place of one that failed: the issue of the failure, with the results of `before`."""
    cache, networks = ContextCache(project, schema), dict[str, Context]()
    for name, network in project.networks.items():
        context = networks[name] = Context(project, name, schema, cache, network.parameters)
        old = before.networks.get(name) if before else None
        same = {key for key in network.nodes if old and key in old.network.nodes}
        same = {key for key in same if old and old.network.nodes[key].type == network.nodes[key].type}
        if old:
            context.layers = {key: layer for key, layer in old.layers.items() if key in same}
            context.measured = {key: measured for key, measured in old.measured.items() if key in same}
        # They can be those of other parameters, so the next analysis computes them.
        context.unstable = set(network.nodes)
        # Sets these cached properties without computing them, which may be the cause of the failure
        context.__dict__ |= {"order": list(network.nodes), "cycle_nodes": set()}
        context.before = old
        _ = context.totals
        # Released, so that analyses do not keep all earlier ones in memory
        context.before = None
    issue = fault(error, "check this project", project.main)
    return Analysis([issue], networks[project.main], networks)


def validate(project: Project, schema: Schema | None = None) -> list[Issue]:
    """Return all issues of a project, errors first."""
    return analyze(project, schema).issues
