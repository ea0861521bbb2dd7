"""Attribution flow: edge values match closed forms, and their sum is conserved at every cut."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from captum.attr import LayerConductance
from torch import nn

from netloom.compile import module, source
from netloom.data import prepare
from netloom.document import DataChoice, Project, Training
from netloom.explain import ExplainError, explain, inner_nodes
from netloom.explain.core.activation_hook import hook_layer
from netloom.explain.core.cache import FOLDER
from netloom.explain.core.explainer import registry
from netloom.explain.core.request import ExplanationRequest, build_context
from netloom.explain.flow.attribution_flow import Flow, flow, unavailable_reason
from netloom.explain.plots.flow import BOTH, analysis_at, flow_csv, flow_svg, flow_values
from netloom.runs import TrainedRun
from netloom.templates import templates
from tests.explain.models import trained
from tests.explain.test_conformance import state
from tests.networks import network, networks, project

TABLE = ("Input", {"field": "features", "kind": "vector", "shape": [10]})
REGRESSION: dict[str, Any] = {
    "data": DataChoice(dataset="diabetes"),
    "training": Training(objective="regression"),
}


def untrained(document: Project, seed: int = 0) -> TrainedRun:
    """A network with untrained weights: only the structure of the flow matters here."""
    torch.manual_seed(seed)
    return TrainedRun(document, source(document), module(document).eval(), prepare(document.data))


def edge_values(attribution_flow: Flow, path: str = "") -> dict[str, float | None]:
    return {f"{edge.source} {edge.target}": edge.value for edge in attribution_flow.edges if edge.path == path}


def node_values(attribution_flow: Flow, path: str = "") -> dict[str, float | None]:
    return {node.key: node.value for node in attribution_flow.nodes if node.path == path}


@pytest.mark.parametrize("name", ["table", "image", "series", "transformer", "recurrent"])
def test_flow_is_conserved_at_every_cut(name: str) -> None:
    run = trained(name)
    before = state(run)
    attribution_flow = flow(run, 3)
    assert state(run) == before
    other = explain(run, "integrated_gradients", 3, proofs=False)
    gap = other.score - other.baseline_score
    assert attribution_flow.score - attribution_flow.baseline_score == pytest.approx(gap, rel=1e-4, abs=1e-4)
    assert len(attribution_flow.cuts) >= len(run.project.main_network.nodes) - 2
    for cut in attribution_flow.cuts:
        assert cut.sum == pytest.approx(gap, rel=0.011, abs=1e-4), cut.after
        values = edge_values(attribution_flow)
        assert cut.sum == pytest.approx(
            sum(value or 0.0 for key, value in values.items() if key.split()[1] in cut.edges), abs=1e-9
        )
    assert attribution_flow.relative_error is not None
    assert attribution_flow.relative_error <= 0.01
    assert attribution_flow.word in attribution_flow.verdict.sentence
    assert replace(flow(run, 3), seconds=0.0) == replace(attribution_flow, seconds=0.0)


def residual_network() -> Project:
    """A skip connection, one output with three consumers, and smooth activations."""
    return project(
        {
            "input_1": TABLE,
            "linear_1": ("Linear", {"units": 8}),
            "tanh_1": ("Tanh", {}),
            "linear_2": ("Linear", {"units": 8}),
            "relu_1": ("ReLU", {}),
            "gelu_1": ("GELU", {}),
            "add_1": ("Add", {}),
            "multiply_1": ("Multiply", {}),
            "linear_3": ("Linear", {"units": 1}),
            "output_1": ("Output", {}),
        },
        [
            ("input_1", "linear_1"),
            ("linear_1", "tanh_1"),
            ("tanh_1", "linear_2"),
            ("linear_2", "relu_1"),
            ("tanh_1", "gelu_1"),
            ("tanh_1", "add_1.a"),
            ("relu_1", "add_1.b"),
            ("add_1", "multiply_1.a"),
            ("gelu_1", "multiply_1.b"),
            ("multiply_1", "linear_3"),
            ("linear_3", "output_1"),
        ],
        **REGRESSION,
    )


@pytest.mark.parametrize("name", ["table", "residual"])
def test_node_flow_matches_captum_layer_conductance(name: str) -> None:
    run = untrained(residual_network()) if name == "residual" else trained(name)
    values = node_values(flow(run, 3, tolerance=1e-4, max_steps=4096))
    for node in inner_nodes(run.project, run.model):
        context, _, _ = build_context(run.project, run.model, run.data, ExplanationRequest("flow", 3))
        method = LayerConductance(context.point_score, hook_layer(context, node).identity)
        points = context.points
        value, baseline = tuple(point.value for point in points), tuple(point.baseline for point in points)
        few, many = (
            float(method.attribute(value, baseline, n_steps=steps, method="riemann_trapezoid").detach().sum())
            for steps in (700, 1400)
        )
        # The error of Captum's sum is proportional to 1/steps (0.3% at 3,000), so extrapolate from two step counts.
        assert values[node.key] == pytest.approx(2 * many - few, rel=1e-3, abs=1e-4), node.key


def test_flow_of_an_output_is_split_between_its_consumers() -> None:
    values = edge_values(flow(untrained(residual_network()), 3, tolerance=1e-4, max_steps=4096))
    whole = values["linear_1 tanh_1"]
    assert whole is not None
    parts = [values[f"tanh_1 {target}"] for target in ("linear_2", "gelu_1", "add_1.a")]
    assert sum(part or 0.0 for part in parts) == pytest.approx(whole, rel=1e-3)
    assert len({round(part or 0.0, 6) for part in parts}) == 3


def test_steps_double_until_the_sum_converges_at_a_partial_cut() -> None:
    run = untrained(residual_network())
    context, _, _ = build_context(run.project, run.model, run.data, ExplanationRequest("layer_conductance", 3))
    method = registry()["layer_conductance"]
    result = method.model_validate({"node": "gelu_1"}).run(context)
    assert result.steps is not None
    assert result.steps >= 64, "convergence needs two sums to compare"
    half_steps = method.model_validate({"node": "gelu_1", "n_steps": result.steps // 2}).run(context)
    assert half_steps.steps == result.steps // 2
    assert half_steps.total == pytest.approx(result.total, rel=0.011)
    assert not result.covers_score


def two_branches() -> Project:
    return project(
        {
            "input_1": TABLE,
            "linear_1": ("Linear", {"units": 3}),
            "linear_2": ("Linear", {"units": 3}),
            "linear_3": ("Linear", {"units": 3}),
            "linear_4": ("Linear", {"units": 5}),
            "concat_1": ("Concat", {}),
            "add_1": ("Add", {}),
            "linear_5": ("Linear", {"units": 1}),
            "output_1": ("Output", {}),
        },
        [
            ("input_1", "linear_1"),
            ("input_1", "linear_2"),
            ("input_1", "linear_3"),
            ("input_1", "linear_4"),
            ("linear_1", "add_1.a"),
            ("linear_2", "add_1.b"),
            ("add_1", "concat_1.a"),
            ("linear_3", "concat_1.b"),
            ("concat_1", "linear_5"),
            ("linear_5", "output_1"),
        ],
        **REGRESSION,
    )


def test_linear_branch_flow_matches_closed_form() -> None:
    run = untrained(two_branches())
    nn.init.zeros_(run.model.get_submodule("linear_2").weight)  # type: ignore[arg-type]
    values = edge_values(flow(run, 3))
    rows = run.data.inputs["features"]
    x, b = rows[3], rows[run.data.split["train"]].mean(0)
    weights = {number: run.model.get_submodule(f"linear_{number}").weight for number in (1, 3, 5)}
    head, target_std = weights[5][0], run.data.fitted_numbers.std[0]  # type: ignore[index]
    for number, part in ((1, head[:3]), (3, head[3:])):
        expected = target_std * float((part @ (weights[number] @ (x - b))).detach())  # type: ignore[operator]
        for name in (f"input_1 linear_{number}", f"linear_{number} {'add_1.a' if number == 1 else 'concat_1.b'}"):
            assert values[name] == pytest.approx(expected, rel=1e-4), name
    assert values["input_1 linear_2"] == values["linear_2 add_1.b"] == 0.0
    assert values["input_1 linear_4"] == 0.0, "it leads nowhere, so the compiled code omits it"
    assert flow(run, 3).word == "exact"


def repeated_block(*, shared: bool) -> Project:
    block = network(
        {
            "input_1": ("Input", {}),
            "linear_1": ("Linear", {"units": 10}),
            "tanh_1": ("Tanh", {}),
            "add_1": ("Add", {}),
            "output_1": ("Output", {}),
        },
        [
            ("input_1", "linear_1"),
            ("linear_1", "tanh_1"),
            ("tanh_1", "add_1.a"),
            ("input_1", "add_1.b"),
            ("add_1", "output_1"),
        ],
    )
    main = network(
        {
            "input_1": TABLE,
            "block_1": ("Subnetwork", {"network": "block", "repeat": 3, "shared": shared}),
            "linear_1": ("Linear", {"units": 1}),
            "output_1": ("Output", {}),
        }
    )
    return networks(main=main, block=block).model_copy(update=REGRESSION)


@pytest.mark.parametrize("shared", [False, True])
def test_flow_follows_each_repetition_of_a_subnetwork(shared: bool) -> None:
    run = untrained(repeated_block(shared=shared))
    if not shared:  # equal weights in all three repetitions are equivalent to sharing
        parts = list(run.model.get_submodule("block_1").children())
        for part in parts[1:]:
            part.load_state_dict(parts[0].state_dict())
    attribution_flow = flow(run, 3, tolerance=1e-4)
    gap = attribution_flow.score - attribution_flow.baseline_score
    inner = [node_values(attribution_flow, f"block_1.{turn}") for turn in range(3)]
    for values in inner:
        assert values["input_1"] == pytest.approx(gap, rel=1e-3)
        assert values["output_1"] == pytest.approx(gap, rel=1e-3)
    branch_values = [values["linear_1"] for values in inner]
    assert len({round(value or 0.0, 5) for value in branch_values}) == 3, (
        "each branch has its own share beside the skip connection"
    )
    assert {cut.path for cut in attribution_flow.cuts} == {"", "block_1.0", "block_1.1", "block_1.2"}
    mean = flow_values(attribution_flow, "block_1")
    assert mean.uses == 3
    assert mean.nodes["linear_1"] == pytest.approx(sum(value or 0.0 for value in branch_values) / 3)
    again = flow(with_toggled_sharing(run, shared=not shared), 3, tolerance=1e-4)
    assert [node.value for node in again.nodes] == pytest.approx(
        [node.value for node in attribution_flow.nodes], rel=1e-3
    )


def with_toggled_sharing(run: TrainedRun, *, shared: bool) -> TrainedRun:
    """The same function with weight sharing toggled."""
    other = untrained(repeated_block(shared=shared), seed=1)
    weights = run.model.state_dict()
    wanted = other.model.state_dict()
    other.model.load_state_dict({name: weights.get(name, weights.get(_first_repetition(name))) for name in wanted})
    return other


def _first_repetition(name: str) -> str:
    return ".".join("0" if step.isdecimal() else step for step in name.split("."))


FAMILIES = ["digits_resnet", "parts_multimodal", "shapes_unet", "dates_gru", "ratings_ncf", "digits_autoencoder"]


@pytest.mark.parametrize("name", FAMILIES)
def test_flow_is_conserved_inside_template_subnetworks(name: str) -> None:
    run = untrained(templates()[name].project)
    attribution_flow = flow(run, 1, max_steps=128)
    assert attribution_flow.relative_error is not None
    assert attribution_flow.relative_error <= 0.05, "max_steps is below what convergence needs"
    for path in {cut.path for cut in attribution_flow.cuts if cut.path}:
        around, _, key = path.removesuffix(".0").removesuffix(".1").rpartition(".")
        for cut in attribution_flow.cuts:
            if cut.path == path:
                whole = node_values(attribution_flow, around)[key] or 0.0
                assert cut.sum == pytest.approx(
                    whole, abs=0.06 * abs(attribution_flow.score - attribution_flow.baseline_score)
                )
    if name == "digits_autoencoder":
        assert attribution_flow.direct != 0.0, "the score compares the output with the input directly"
    tokens = {edge.value for edge in attribution_flow.edges if not edge.path and edge.target.startswith("embedding")}
    assert tokens <= {None}, "integers carry no attribution"


def test_discontinuous_path_is_reported_as_unreliable() -> None:
    attribution_flow = flow(untrained(templates()["intents_experts"].project), 1, max_steps=64)
    assert attribution_flow.word == "unreliable"
    assert attribution_flow.verdict.level == "poor"
    assert "do not add up" in attribution_flow.verdict.sentence


def test_flow_without_a_gradient_is_refused() -> None:
    run = untrained(templates()["digits_gan"].project)
    assert unavailable_reason(run).endswith(".")
    with pytest.raises(ExplainError, match="Attribution flow does not support this network"):
        flow(run, 1)


class EndedError(Exception):
    """The user cancelled the explanation."""


def test_cancelled_flow_leaves_the_model_unchanged() -> None:
    run = trained("image")
    before, shares = state(run), []

    def cancel(share: float) -> None:
        shares.append(share)
        if len(shares) == 2:
            raise EndedError

    with pytest.raises(EndedError):
        flow(run, 3, tolerance=1e-6, progress=cancel)
    assert state(run) == before
    assert all(0 <= share <= 1 for share in shares)


def test_flow_is_cached_by_its_request(tmp_path: Path) -> None:
    run = trained("table")
    first = flow(run, 3, folder=tmp_path, checkpoint="best")
    cached = flow(run, 3, folder=tmp_path, checkpoint="last")
    assert cached == replace(first, checkpoint="last"), "it was not computed a second time"
    for options in ({"max_steps": 16}, {"target": 0}, {"target": 1}):
        flow(run, 3, folder=tmp_path, **options)  # type: ignore[arg-type]
    assert 3 <= len(list((tmp_path / FOLDER).glob("*.npz"))) <= 4, "one of the targets may be the predicted class"
    assert explain(run, "saliency", 3, folder=tmp_path).method == "saliency"


def test_flow_svg_and_csv_contain_every_edge() -> None:
    document = templates()["digits_resnet"].project
    main = document.main_network
    hostile_node = main.nodes["basic_1"].model_copy(update={"title": 'a <b> & "c"'})
    document = document.model_copy(
        update={
            "networks": {
                **document.networks,
                "main": main.model_copy(update={"nodes": {**main.nodes, "basic_1": hostile_node}}),
            }
        }
    )
    attribution_flow = flow(untrained(document), 1, max_steps=16)
    for path in ("", "basic_1", "basic_1.1", "down_1"):
        tree = ElementTree.fromstring(flow_svg(document, attribution_flow, path))
        groups = [group.get("class") for group in tree.iter("{http://www.w3.org/2000/svg}g")]
        analysis = analysis_at(document, path)
        assert groups.count("flow-edge") == len(analysis.network.edges), path
        assert sum("flow-node" in (name or "") for name in groups) == len(analysis.network.nodes), path
        assert "light-dark" in flow_svg(document, attribution_flow, path, BOTH)
    rows = list(csv.DictReader(io.StringIO(flow_csv(attribution_flow))))
    assert len(rows) == len(attribution_flow.edges) + len(attribution_flow.nodes) + len(attribution_flow.cuts)
    sums = [float(row["flow"]) for row in rows if row["kind"] == "cut" and not row["path"]]
    assert sums == [cut.sum for cut in attribution_flow.cuts if not cut.path]
