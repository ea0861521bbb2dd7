"""Explanations that are kept, ended early, or held against networks that forgot."""

from __future__ import annotations

import os
import subprocess
import sys
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
from tests.explain.models import QUICK, trained
from tests.explain.test_conformance import same, state


@pytest.mark.parametrize(
    ("name", "method"), [("image", "grad_cam"), ("transformer", "attention"), ("table", "shapley")]
)
def test_what_is_kept_is_what_was_found(name: str, method: str, tmp_path: Path) -> None:
    run = trained(name)
    first = explain(run, method, 3, folder=tmp_path, checkpoint="best")
    files = list((tmp_path / FOLDER).glob("*.npz"))
    again = explain(run, method, 3, folder=tmp_path, checkpoint="last")
    assert len(files) == 1
    assert again.seconds == first.seconds, "it was not worked out a second time"
    assert again.checkpoint == "last"
    assert same(replace(again, checkpoint="best")) == same(first)
    assert type(again.proofs) is type(first.proofs)
    assert again.verdict == first.verdict
    assert {key: value.dtype for key, value in again.attributions.items()} == {
        key: value.dtype for key, value in first.attributions.items()
    }
    assert list((tmp_path / FOLDER).glob("*.npz")) == files
    other: dict[str, Any] = {"baseline": "zero"} if issubclass(registry()[method], BaselineExplainer) else {"seed": 2}
    others: list[dict[str, Any]] = [{"seed": 1}, other, {"randomise": True}]
    for asked in others:
        explain(run, method, 3, folder=tmp_path, **asked)
    explain(run, method, 4, folder=tmp_path)
    assert len(list((tmp_path / FOLDER).glob("*.npz"))) == 5


def test_other_weights_have_another_hash_and_are_explained_anew(tmp_path: Path) -> None:
    run = trained("table")
    other = replace(run, model=shuffle_weights(run.model, 1))
    assert weights_hash(other.model) != weights_hash(run.model)
    assert weights_hash(shuffle_weights(run.model, 1)) == weights_hash(other.model)
    found = [explain(one, "saliency", 3, folder=tmp_path) for one in (run, other)]
    assert found[0].weights == weights_hash(run.model)
    assert len({each.weights for each in found}) == 2
    assert len(list((tmp_path / FOLDER).glob("*.npz"))) == 2


@pytest.mark.parametrize("damage", [b"", b"PK", b"\x80\x04N."])
def test_a_kept_file_that_is_not_whole_is_worked_out_anew(damage: bytes, tmp_path: Path) -> None:
    run = trained("table")
    first = explain(run, "saliency", 3, folder=tmp_path)
    (file,) = (tmp_path / FOLDER).glob("*.npz")
    file.write_bytes(damage)
    assert same(explain(run, "saliency", 3, folder=tmp_path)) == same(first)


class EndedError(Exception):
    """Somebody chose something else."""


@pytest.mark.parametrize("after", [1, 3])
def test_every_method_can_be_ended_and_leaves_nothing_behind(after: int) -> None:
    run = trained("strided")
    before = state(run)
    ended = 0
    for method in methods(run):
        if not method.available:
            continue
        shares: list[float] = []

        def tell(share: float, shares: list[float] = shares) -> None:
            shares.append(share)
            if len(shares) >= after:
                raise EndedError

        try:
            explain(run, method.name, 3, progress=tell, **QUICK.get(method.name, {}))
        except EndedError:
            ended += 1
        assert state(run) == before, method.name
        assert all(0 <= share <= 1 for share in shares)
    assert ended >= 20


def test_progress_goes_from_nothing_to_all() -> None:
    shares: list[float] = []
    explain(trained("image"), "occlusion", 3, progress=shares.append)
    assert shares[0] < 0.5
    assert shares[-1] == 1.0


def test_a_map_of_what_was_learned_goes_when_the_network_forgets() -> None:
    run = trained("strided")
    for method in ("integrated_gradients", "deep_lift", "input_x_gradient", "occlusion"):
        proof = explain(run, method, 5, proofs=False, randomise=True).proofs.randomised
        assert proof is not None
        assert proof.passed, (method, proof)
        assert abs(proof.spearman) <= 0.5
    with torch.no_grad():
        flat = explain_model(run.project, shuffle_weights(run.model, 0), run.data, "saliency", 5)
    assert flat.proofs.randomised is None


def test_a_constant_map_costs_no_other_networks() -> None:
    """Without a ranking to compare, the test returns before it explains networks with shuffled weights."""
    run = trained("table")
    constant = replace(run, model=shuffle_weights(run.model, 0))
    with torch.no_grad():
        for parameter in constant.model.parameters():
            parameter.zero_()
    calls: dict[bool, int] = {}
    for randomise in (False, True):
        shares: list[float] = []
        found = explain(constant, "saliency", 3, target=1, proofs=False, randomise=randomise, progress=shares.append)
        assert found.proofs.randomised is None
        calls[randomise] = len(shares)
    assert calls[True] == calls[False]


def test_guided_backprop_stays_when_the_network_forgets_and_says_so() -> None:
    """On the template of the digits, as Adebayo and others (2018) saw it: its maps hardly know the network."""
    project = templates()["digits_cnn"].project
    run = fit_here(project.model_copy(update={"training": project.training.model_copy(update={"epochs": 3})}))
    rows = run.data.split["test"][:3].tolist()
    for method, badged in (("guided_backprop", True), ("saliency", False), ("integrated_gradients", False)):
        found = [explain(run, method, row, proofs=False, randomise=True) for row in rows]
        proofs = [one.proofs.randomised for one in found if one.proofs.randomised is not None]
        assert len(proofs) == len(rows)
        mean = float(np.mean([proof.spearman for proof in proofs]))
        assert (mean > 0.5) if badged else (mean <= 0.2), method
        if badged:
            assert not any(proof.passed for proof in proofs)
            assert {one.verdict.level for one in found} == {"poor"}
            assert all("hardly depends on the learned weights" in one.verdict.sentence for one in found)
            unasked = explain(run, method, rows[0], proofs=False)
            assert unasked.verdict.level == "caution"
            assert "do not use it as an explanation" in unasked.verdict.sentence


def test_a_map_that_stays_when_the_network_forgets_is_found_out() -> None:
    """The network's own answer does not matter to what is only the picture."""
    run = trained("table")
    with torch.no_grad():
        for parameter in run.model.parameters():
            assert parameter.ndim in (1, 2)
    same_weights = replace(run, model=shuffle_weights(run.model, 0))
    with torch.no_grad():
        for parameter in same_weights.model.parameters():
            parameter.fill_(0.1 if parameter.ndim == 2 else 0.0)
    found = explain(same_weights, "input_x_gradient", 3, target=1, proofs=False, randomise=True)
    proof = found.proofs.randomised
    assert proof is not None
    assert proof.spearman == pytest.approx(1.0)
    assert not proof.passed
    assert found.verdict.level == "poor"
    assert "hardly depends" in found.verdict.sentence


def test_nodes_within_networks_have_a_path() -> None:
    project = templates()["digits_resnet"].project
    from netloom.compile import module

    torch.manual_seed(0)
    model = module(project).eval()
    nodes = {node.path: node for node in inner_nodes(project, model)}
    assert {"conv2d_1", "basic_1", "basic_1.0.conv2d_1", "basic_1.1.conv2d_2", "basic_2.add_1"} <= set(nodes)
    assert nodes["basic_1.0.add_1"].cut
    assert not nodes["basic_1.0.conv2d_1"].cut, "the shortcut goes around it"
    assert {node.path for node in nodes.values() if "." not in node.path} == {
        key for key, node in project.main_network.nodes.items() if node.type not in ("Input", "Output")
    }
    assert all(model.get_submodule(path) is not None for path in nodes)


def test_a_cut_within_a_network_carries_all_of_the_answer() -> None:
    from netloom.compile import module
    from netloom.data import prepare

    project = templates()["digits_resnet"].project
    torch.manual_seed(0)
    model, data = module(project).eval(), prepare(project.data)
    # The class for which there is most to share out: a fresh network hardly tells them apart.
    classes = [explain_model(project, model, data, "saliency", 3, target=number) for number in range(10)]
    target = int(np.argmax([abs(each.answer - each.ground) for each in classes]))
    for path in ("conv2d_1", "basic_1.1.relu_2", "globalavgpool_1"):
        found = explain_model(project, model, data, "layer_conductance", 3, node=path, target=target)
        proof = found.proofs.completeness
        assert proof is not None
        assert proof.word in ("exact", "converged"), (path, proof)
        assert found.nodes[path].sum() == pytest.approx(proof.sum, rel=1e-6)
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
def test_a_wrong_node_or_number_gets_a_sentence(method: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ExplainError, match=message):
        explain(trained("strided"), method, 3, **options)


def test_what_would_be_wrong_without_a_sign_is_refused() -> None:
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
import torch
from captum.attr import IntegratedGradients
from netloom.explain import explain
from netloom.explain.dataset.global_attribution import global_attribution
from netloom.runs import TrainedRun
from netloom.compile import module, source
from netloom.data import prepare
from tests.explain.models import network

torch.set_num_threads(1)
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
    for row in range(0, 64, 16):
        explain(run, "integrated_gradients", row, proofs=False)

def together():
    assert len(global_attribution(run, "train", method="integrated_gradients", rows=64).rows) == 64

def plainly():
    IntegratedGradients(run.model).attribute(pictures, target=0, n_steps=8)

explain(run, "integrated_gradients", 0, proofs=False)  # what is imported and set up at first
global_attribution(run, method="integrated_gradients", rows=2)
print(*[taken(work) for work in (one_pass, each, together, plainly)])
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is told by Linux")
def test_the_memory_of_64_explanations_is_bounded() -> None:
    """Integrated Gradients of 64 pictures at once, and 4 one by one: within 4 × one pass of the 64 there and back."""
    at_once_free = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    answer = subprocess.run(
        [sys.executable, "-c", MEMORY], env=at_once_free, capture_output=True, text=True, timeout=200, check=True
    )
    one_pass, each, together, plainly = map(int, answer.stdout.split())
    assert one_pass > 20_000, "otherwise the noise of the allocator would be measured"
    assert each <= 4 * one_pass
    assert together <= 4 * one_pass
    assert plainly > 4 * one_pass, "Captum called plainly, with few steps, shows that the measure can fail"
