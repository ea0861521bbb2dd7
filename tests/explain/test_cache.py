"""The explanation cache, cancellation, the weight randomization test, and memory use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from netloom.explain import ExplainError, explain, explain_model, inner_nodes, methods
from netloom.explain.core.cache import FOLDER, weights_hash
from netloom.explain.core.explainer import BaselineExplainer, registry
from netloom.explain.evidence.randomization_test import shuffle_weights
from netloom.runs import fit_here
from netloom.templates import templates
from tests.explain.models import QUICK, trained, untrained_run
from tests.explain.test_conformance import state, without_seconds
from tests.preloaded import start_python


@pytest.mark.parametrize(
    ("name", "method"), [("image", "grad_cam"), ("transformer", "attention"), ("table", "shapley")]
)
def test_cached_explanation_equals_the_computed_one(name: str, method: str, tmp_path: Path) -> None:
    run = trained(name)
    first = explain(run, method, 3, folder=tmp_path, checkpoint="best")
    files = list((tmp_path / FOLDER).glob("*.npz"))
    cached = explain(run, method, 3, folder=tmp_path, checkpoint="last")
    assert len(files) == 1
    assert cached.seconds == first.seconds, "it was not computed a second time"
    assert cached.checkpoint == "last"
    assert without_seconds(replace(cached, checkpoint="best")) == without_seconds(first)
    assert type(cached.proofs) is type(first.proofs)
    assert cached.verdict == first.verdict
    assert {key: value.dtype for key, value in cached.attributions.items()} == {
        key: value.dtype for key, value in first.attributions.items()
    }
    assert list((tmp_path / FOLDER).glob("*.npz")) == files
    other: dict[str, Any] = {"baseline": "zero"} if issubclass(registry()[method], BaselineExplainer) else {"seed": 2}
    other_options: list[dict[str, Any]] = [{"seed": 1}, other, {"randomize": True}]
    for options in other_options:
        explain(run, method, 3, folder=tmp_path, **options)
    explain(run, method, 4, folder=tmp_path)
    assert len(list((tmp_path / FOLDER).glob("*.npz"))) == 5


def test_changed_weights_change_the_hash_and_recompute(tmp_path: Path) -> None:
    run = trained("table")
    other = replace(run, model=shuffle_weights(run.model, 1))
    assert weights_hash(other.model) != weights_hash(run.model)
    assert weights_hash(shuffle_weights(run.model, 1)) == weights_hash(other.model)
    explanations = [explain(each_run, "saliency", 3, folder=tmp_path) for each_run in (run, other)]
    assert explanations[0].weights == weights_hash(run.model)
    assert len({each.weights for each in explanations}) == 2
    assert len(list((tmp_path / FOLDER).glob("*.npz"))) == 2


@pytest.mark.parametrize("damage", [b"", b"PK", b"\x80\x04N."])
def test_damaged_cache_file_is_recomputed(damage: bytes, tmp_path: Path) -> None:
    run = trained("table")
    first = explain(run, "saliency", 3, folder=tmp_path)
    (file,) = (tmp_path / FOLDER).glob("*.npz")
    file.write_bytes(damage)
    assert without_seconds(explain(run, "saliency", 3, folder=tmp_path)) == without_seconds(first)


class EndedError(Exception):
    """The user cancelled the explanation."""


@pytest.mark.parametrize("after", [1, 3])
def test_cancelling_any_method_restores_the_model(after: int) -> None:
    run = trained("strided")
    before = state(run)
    ended = 0
    for method in methods(run):
        if not method.available:
            continue
        shares: list[float] = []

        def cancel(share: float, shares: list[float] = shares) -> None:
            shares.append(share)
            if len(shares) >= after:
                raise EndedError

        try:
            explain(run, method.name, 3, progress=cancel, **QUICK.get(method.name, {}))
        except EndedError:
            ended += 1
        assert state(run) == before, method.name
        assert all(0 <= share <= 1 for share in shares)
    assert ended >= 20


def test_progress_ends_at_one() -> None:
    shares: list[float] = []
    explain(trained("image"), "occlusion", 3, progress=shares.append)
    assert shares[0] < 0.5
    assert shares[-1] == 1.0


def test_faithful_methods_pass_the_randomization_test() -> None:
    run = trained("strided")
    for method in ("integrated_gradients", "deep_lift", "input_x_gradient", "occlusion"):
        proof = explain(run, method, 5, proofs=False, randomize=True).proofs.randomization
        assert proof is not None
        assert proof.passed, (method, proof)
        assert abs(proof.spearman) <= 0.5
    with torch.no_grad():
        flat = explain_model(run.project, shuffle_weights(run.model, 0), run.data, "saliency", 5)
    assert flat.proofs.randomization is None


def test_constant_attribution_skips_the_randomization_test() -> None:
    """Without a ranking to compare, the test returns before it explains networks with shuffled weights."""
    run = trained("table")
    constant = replace(run, model=shuffle_weights(run.model, 0))
    with torch.no_grad():
        for parameter in constant.model.parameters():
            parameter.zero_()
    calls: dict[bool, int] = {}
    for randomize in (False, True):
        shares: list[float] = []
        explanation = explain(
            constant, "saliency", 3, target=1, proofs=False, randomize=randomize, progress=shares.append
        )
        assert explanation.proofs.randomization is None
        calls[randomize] = len(shares)
    assert calls[True] == calls[False]


@pytest.mark.long
def test_guided_backprop_fails_the_randomization_test() -> None:
    """On the digits template, as in Adebayo et al. (2018): its attributions hardly depend on the weights."""
    project = templates()["digits_cnn"].project
    run = fit_here(project.model_copy(update={"training": project.training.model_copy(update={"epochs": 3})}))
    rows = run.data.split["test"][:3].tolist()
    for method, fails in (("guided_backprop", True), ("saliency", False), ("integrated_gradients", False)):
        explanations = [explain(run, method, row, proofs=False, randomize=True) for row in rows]
        proofs = [
            explanation.proofs.randomization
            for explanation in explanations
            if explanation.proofs.randomization is not None
        ]
        assert len(proofs) == len(rows)
        mean = float(np.mean([proof.spearman for proof in proofs]))
        assert (mean > 0.5) if fails else (mean <= 0.2), method
        if fails:
            assert not any(proof.passed for proof in proofs)
            assert {explanation.verdict.level for explanation in explanations} == {"poor"}
            assert all(
                "hardly depends on the learned weights" in explanation.verdict.sentence for explanation in explanations
            )
            unchecked = explain(run, method, rows[0], proofs=False)
            assert unchecked.verdict.level == "caution"
            assert "do not use it as an explanation" in unchecked.verdict.sentence


def test_weight_independent_attribution_fails_randomization_test() -> None:
    """With equal weights everywhere, shuffling them changes nothing, so the attribution does not depend on them."""
    run = trained("table")
    with torch.no_grad():
        for parameter in run.model.parameters():
            assert parameter.ndim in (1, 2)
    same_weights = replace(run, model=shuffle_weights(run.model, 0))
    with torch.no_grad():
        for parameter in same_weights.model.parameters():
            parameter.fill_(0.1 if parameter.ndim == 2 else 0.0)
    explanation = explain(same_weights, "input_x_gradient", 3, target=1, proofs=False, randomize=True)
    proof = explanation.proofs.randomization
    assert proof is not None
    assert proof.spearman == pytest.approx(1.0)
    assert not proof.passed
    assert explanation.verdict.level == "poor"
    assert "hardly depends" in explanation.verdict.sentence


def test_subnetwork_nodes_have_dotted_paths() -> None:
    project = templates()["digits_resnet"].project
    from netloom.compile import module

    torch.manual_seed(0)
    model = module(project).eval()
    nodes = {node.path: node for node in inner_nodes(project, model)}
    assert {"conv2d_1", "basic_1", "basic_1.0.conv2d_1", "basic_1.1.conv2d_2", "basic_2.add_1"} <= set(nodes)
    assert nodes["basic_1.0.add_1"].cut
    assert not nodes["basic_1.0.conv2d_1"].cut, "the skip connection bypasses it"
    assert {node.path for node in nodes.values() if "." not in node.path} == {
        key for key, node in project.main_network.nodes.items() if node.type not in ("Input", "Output")
    }
    assert all(model.get_submodule(path) is not None for path in nodes)


def test_layer_conductance_at_a_cut_sums_to_the_score() -> None:
    run = untrained_run(templates()["digits_resnet"].project)
    project, model, data = run.project, run.model, run.data
    # The class with the largest score difference to the baseline: an untrained network hardly separates classes.
    classes = [explain(run, "saliency", 3, target=number, proofs=False) for number in range(10)]
    target = int(np.argmax([abs(explanation.score - explanation.baseline_score) for explanation in classes]))
    for path in ("conv2d_1", "basic_1.1.relu_2", "globalavgpool_1"):
        explanation = explain_model(project, model, data, "layer_conductance", 3, node=path, target=target)
        proof = explanation.proofs.completeness
        assert proof is not None
        assert proof.word in ("exact", "converged"), (path, proof)
        assert explanation.nodes[path].sum() == pytest.approx(proof.sum, rel=1e-6)
    beside = explain_model(project, model, data, "layer_conductance", 3, node="basic_1.0.conv2d_1")
    assert beside.proofs.completeness is None
    assert "Only a part of the score passes" in beside.verdict.sentence


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("layer_activation", {"node": "conv2d_9"}, "There is no layer 'conv2d_9'"),
        ("grad_cam", {"node": "linear_1"}, "is not a feature map"),
        ("neuron_gradient", {"neuron": "1,2"}, "There is no neuron '1,2' in this layer; the last is 23"),
        ("neuron_gradient", {"neuron": "99"}, "There is no neuron '99'"),
        ("neuron_gradient", {"neuron": "first"}, "There is no neuron 'first'"),
    ],
)
def test_wrong_node_or_neuron_is_refused_with_a_message(method: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ExplainError, match=message):
        explain(trained("strided"), method, 3, **options)


def test_unsupported_layers_disable_deep_lift_and_guided_backprop() -> None:
    reasons = {
        name: {method.name: method.reason for method in methods(trained(name))}
        for name in ("image", "transformer", "recurrent", "strided")
    }
    assert "Max pool 2D" in reasons["image"]["deep_lift"]
    assert "Transformer encoder block" in reasons["transformer"]["deep_lift"]
    assert "LSTM" in reasons["recurrent"]["deep_lift"]
    assert reasons["strided"]["deep_lift"] == ""
    assert reasons["strided"]["lrp"] == ""
    assert (
        "no ReLU" in reasons["transformer"]["guided_backprop"]
        or "does not have one" in (reasons["transformer"]["guided_backprop"])
    )
    assert np.all([len(listed) >= 20 for listed in reasons.values()])


MEMORY = """
import ctypes
import torch
from captum.attr import IntegratedGradients
from netloom.explain import explain
from netloom.explain.dataset.global_attribution import global_attribution
from netloom.runs import TrainedRun
from netloom.compile import module, source
from netloom.data import prepare
from tests.explain.models import network

torch.set_num_threads(1)
for option in (-3, -1):  # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD: what is freed is returned at once
    assert ctypes.CDLL(None).mallopt(option, 65536)
project = network(
    "shapes", *[("Conv2d", {"filters": 24, "kernel_size": 1, "padding": 0}), ("ReLU", {})] * 2, ("GlobalAvgPool", {}),
    ("Linear", {"units": 4}), options={"size": 32, "rows": 120},
)
run = TrainedRun(project, source(project), module(project).eval(), prepare(project.data))
pictures = run.data.inputs["image"][:64]

def taken(work):
    "By how many KiB the process grew at the most."
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    lines = lambda: dict(line.split(":") for line in open("/proc/self/status"))
    before = int(lines()["VmRSS"].split()[0])
    work()
    return int(lines()["VmHWM"].split()[0]) - before

def one_pass():
    run.model(pictures.clone().requires_grad_()).sum().backward()

def each():
    explain(run, "integrated_gradients", 1, proofs=False, n_steps=512)

def together():
    options = {"method": "integrated_gradients", "n_steps": 8}
    assert len(global_attribution(run, "train", rows=64, **options).rows) == 64

def plainly():
    IntegratedGradients(run.model).attribute(pictures, target=0, n_steps=8)

explain(run, "integrated_gradients", 0, proofs=False, n_steps=2)  # what is imported and set up at first
global_attribution(run, method="integrated_gradients", rows=2, n_steps=2)
print(*[taken(work) for work in (one_pass, each, together, plainly)])
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is told by Linux")
def test_memory_of_64_explanations_is_bounded(tmp_path: Path) -> None:
    """Integrated Gradients of 64 images in a batch with 8 steps, and of one image with 512, take at most 4 × a
    forward-backward pass of 64."""
    output = tmp_path / "output"
    assert start_python("-c", MEMORY, output=output).wait(200) == 0
    one_pass_kib, each_kib, together_kib, plainly_kib = map(int, output.read_text().split())
    assert one_pass_kib > 20_000, "otherwise allocator noise dominates the measurement"
    assert each_kib <= 4 * one_pass_kib
    assert together_kib <= 4 * one_pass_kib
    assert plainly_kib > 4 * one_pass_kib, "unbatched Captum with few steps shows that the measurement can fail"
