"""A GAN: its losses by hand, its turns, its distance by eigenvalues, and its pictures before a judge of their own."""

from __future__ import annotations

import json
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from netloom.data import DataError, prepare, schema
from netloom.document import DataChoice, Project, apply
from netloom.explain import ExplainError, explain, methods
from netloom.runs import evaluate, fit_here, predict
from netloom.templates import templates
from netloom.training import OBJECTIVES
from netloom.training.frechet_distance import features, frechet, shuffled
from netloom.training.gan_losses import discriminator_loss, generator_loss
from netloom.training.trainers.adversarial import AdversarialTrainer
from netloom.validation import Issue, validate
from tests.runs.examples import Recorder, broken_off, loop
from tests.training.test_figures import ELSEWHERE, at_its_figure


def document(**training: Any) -> Project:
    """The template, for a moment only."""
    project = templates()["digits_gan"].project
    short = project.training.model_copy(update={"epochs": 2, "batch_size": 256, "device": "cpu", **training})
    return project.model_copy(update={"training": short})


def issues(project: Project) -> list[Issue]:
    return [issue for issue in validate(project, schema(project.data)) if issue.severity == "error"]


def adversarial(project: Project, home: Path) -> AdversarialTrainer:
    made = loop(project, home)
    assert isinstance(made, AdversarialTrainer)
    return made


def test_losses_are_those_of_the_paper() -> None:
    """By hand, with probabilities in place of logits."""
    real, fake = torch.tensor([[0.3], [-2.0]]), torch.tensor([[1.5], [-0.4], [0.0]])
    p, q = (1 / (1 + np.exp(-values.double().numpy())) for values in (real, fake))
    assert float(discriminator_loss(real, fake)) == pytest.approx(-np.log(p).mean() - np.log(1 - q).mean(), rel=1e-6)
    assert float(generator_loss(fake)) == pytest.approx(-np.log(q).mean(), rel=1e-6)
    # Where both kinds cannot be told apart, the losses are 2 ln 2 and ln 2.
    assert float(discriminator_loss(torch.zeros(4, 1), torch.zeros(4, 1))) == pytest.approx(2 * log(2))
    output = torch.cat([torch.randn(3, 64), fake], dim=1)
    objective, target = OBJECTIVES["gan"], torch.randn(3, 1, 8, 8)
    assert float(objective.loss(output, target)) == pytest.approx(-np.log(q).mean(), rel=1e-6)
    found = objective.scores(output, target)
    assert float(found.sums["loss"]) / found.count == pytest.approx(-np.log(q).mean(), rel=1e-6)


def test_logits_far_out_stay_finite() -> None:
    far = torch.tensor([[200.0], [-200.0]])
    assert float(generator_loss(far)) == pytest.approx(100)
    assert float(discriminator_loss(far, far)) == pytest.approx(200)


def test_each_half_of_a_step_changes_one_network_alone(home: Path) -> None:
    made = parts = adversarial(document(), home)
    noise, real = made.data.inputs["noise"][:8], made.data.inputs["image"][:8]

    def values(network: nn.Module) -> list[torch.Tensor]:
        return [weight.detach().clone() for weight in network.parameters()]

    def alike(first: list[torch.Tensor], second: list[torch.Tensor]) -> list[bool]:
        return [torch.equal(one, other) for one, other in zip(first, second, strict=True)]

    generator, discriminator = values(parts.generator), values(parts.discriminator)
    fake = parts.generator(noise)
    parts.train_discriminator(fake.detach(), real)
    assert all(alike(generator, values(parts.generator)))
    assert not any(alike(discriminator, values(parts.discriminator)))
    discriminator = values(parts.discriminator)
    parts.train_generator(fake)
    assert all(alike(discriminator, values(parts.discriminator)))
    assert not all(alike(generator, values(parts.generator)))
    assert all(weight.requires_grad for weight in parts.discriminator.parameters())


def test_a_step_is_that_of_a_loop_by_hand(home: Path) -> None:
    """Binary cross-entropy with labels and one optimizer each, as it is written everywhere.

    With SGD: Adam makes a whole step of the rounding of a gradient that is all but 0.
    """
    project = document(optimizer="sgd", learning_rate=0.01)
    made = mine = adversarial(project, home)
    other = theirs = adversarial(project, home)
    rate = made.learning_rate
    ours = [torch.optim.SGD(net.parameters(), rate, 0.9) for net in (theirs.generator, theirs.discriminator)]
    noise, real = made.data.inputs["noise"][:32], made.data.inputs["image"][:32]
    for part in (mine.generator, mine.discriminator, theirs.generator, theirs.discriminator):
        part.train()
    entropy = functional.binary_cross_entropy_with_logits
    for step in range(3):
        torch.manual_seed(step)
        mine.train_step([noise], real)
        torch.manual_seed(step)
        fake = theirs.generator(torch.randn_like(noise))
        said, wrong = theirs.discriminator(real), theirs.discriminator(fake.detach())
        ours[1].zero_grad()
        (entropy(said, torch.ones_like(said)) + entropy(wrong, torch.zeros_like(wrong))).backward()  # type: ignore[no-untyped-call]
        ours[1].step()
        ours[0].zero_grad()
        said = theirs.discriminator(fake)
        entropy(said, torch.ones_like(said)).backward()  # type: ignore[no-untyped-call]
        ours[0].step()
    for one, two in zip(made.model.state_dict().values(), other.model.state_dict().values(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


def test_resumed_run_equals_one_without_a_break(home: Path, tmp_path: Path) -> None:
    """Within an epoch and between two; within the second, see `tests.runs.test_resuming`."""
    project = document(gradient_clip=1.0, schedule="cosine")
    whole, seen = loop(project, home), Recorder()
    assert whole.fit(seen)
    for stop_at in (1, 5):
        resumed, first, second = broken_off(project, stop_at, home, tmp_path / str(stop_at))
        for one, other in zip(whole.model.state_dict().values(), resumed.model.state_dict().values(), strict=True):
            assert torch.equal(one, other), stop_at
        assert json.dumps(_plain(whole.checkpoint().state)) == json.dumps(_plain(resumed.checkpoint().state)), stop_at
        for name in OBJECTIVES["gan"].metrics:
            assert len(seen.curve("validation", name)) == 2
            told = first.curve("validation", name) + second.curve("validation", name)
            assert seen.curve("validation", name) == told, stop_at


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def test_a_learning_rate_reaches_both_optimizers(home: Path) -> None:
    made = loop(document(epochs=1), home)
    made.learning_rate = 0.0123
    made.fit(Recorder(stop_at=1))
    assert [group["lr"] for group in made.optimizer.param_groups] == [0.0123, 0.0123]
    assert [group["betas"] for group in made.optimizer.param_groups] == [(0.5, 0.999)] * 2


def test_measures_by_hand(home: Path) -> None:
    made = adversarial(document(), home)
    numbers = torch.get_rng_state()
    found = made.evaluate("validation")
    assert torch.equal(numbers, torch.get_rng_state())
    rows = made.data.split["validation"]
    with torch.no_grad():
        pictures, wrong = made.model.eval()(made.data.inputs["noise"][rows])
        said = made.discriminator(made.data.inputs["image"][rows])
    assert set(found) == set(OBJECTIVES["gan"].metrics)
    told = ((said > 0).double().mean() + (wrong < 0).double().mean()) / 2
    assert found["told_apart"] == pytest.approx(float(told))
    assert found["generator_loss"] == pytest.approx(float(-wrong.sigmoid().log().mean()), rel=1e-4)
    assert found["loss"] == pytest.approx(frechet(features(pictures), features(made.data.inputs["image"][rows])))


def test_frechet_distance_by_eigenvalues() -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(300, 5, generator=generator).double() @ torch.randn(5, 5, generator=generator).double()
    second = 2 * torch.randn(200, 5, generator=generator).double() + 1
    one, other = np.cov(first.T, bias=True), np.cov(second.T, bias=True)
    # The trace of a root is the sum of the roots of the eigenvalues, and C₁C₂ has those of C₁^½ C₂ C₁^½.
    shared = np.sqrt(np.linalg.eigvals(one @ other).real).sum()
    expected = ((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(one + other) - 2 * shared
    assert frechet(first, second) == pytest.approx(float(expected), rel=1e-6)
    assert frechet(first, first) == pytest.approx(0, abs=1e-6)
    assert frechet(first, first + 3) == pytest.approx(45)
    assert np.isnan(frechet(first, torch.full((3, 5), torch.nan)))


def test_large_pictures_are_compared_small() -> None:
    assert features(torch.rand(4, 3, 100, 60)).shape == (4, 3 * 64)
    assert features(torch.rand(4, 1, 8, 8)).shape == (4, 64)
    mixed = shuffled(torch.arange(12.0).reshape(6, 2))
    assert [sorted(column.tolist()) for column in mixed.T] == [[0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9, 11]]


def test_noise_stands_beside_pictures_and_is_always_the_same(home: Path) -> None:
    choice = DataChoice(dataset="digits", options={"noise_size": 4})
    first, plain = prepare(choice, home), prepare(DataChoice(dataset="digits"), home)
    assert [field.name for field in first.schema.inputs] == ["image", "noise"]
    torch.testing.assert_close(first.inputs["image"], plain.inputs["image"])
    noise = first.inputs["noise"]
    assert noise.shape == (1797, 4)
    assert abs(float(noise.mean())) < 0.05 < 0.9 < float(noise.std()) < 1.1
    torch.testing.assert_close(first.encode(first.row(3))["noise"][0], noise[3])
    for dataset, size, reason in (
        ("moons", 4, "needs images"),
        ("digits", 0, "1 to 512"),
        ("digits", "x", "1 to 512"),
    ):
        with pytest.raises(DataError, match=reason):
            prepare(DataChoice(dataset=dataset, options={"noise_size": size}), home)


def test_a_document_that_is_no_gan_is_told_how_to_become_one(home: Path) -> None:
    project = document()
    assert issues(project) == []
    quiet = project.model_copy(update={"data": DataChoice(dataset="digits")})
    found = next(issue for issue in issues(quiet) if issue.code == "gan_noise")
    assert found.fix is not None
    assert not [issue for issue in issues(apply(quiet, found.fix.edit)) if issue.code == "gan_noise"]

    def without(*nodes: str) -> set[str]:
        edit = {"kind": "remove", "network": "main", "nodes": list(nodes), "edges": []}
        return {issue.message for issue in issues(apply(project, edit)) if issue.code.startswith("gan")}

    (message,) = without("discriminator_1")
    assert message.startswith("A GAN needs exactly one network named discriminator")
    assert "To fix this, add the network discriminator to this one." in message
    assert len(without("discriminator_1", "generator_1")) == 2
    assert any("two Outputs" in message for message in without("output_1"))
    other = templates()["digits_mlp"].project
    said = issues(other.model_copy(update={"training": project.training}))
    assert {"gan_networks", "gan_noise"} <= {issue.code for issue in said}
    tabular = project.model_copy(update={"data": DataChoice(dataset="moons")})
    assert any("the data has no images" in issue.message for issue in issues(tabular))


def test_shapes_that_do_not_fit_are_named() -> None:
    project = document()
    edit = {"kind": "set", "network": "discriminator", "node": "linear_1", "params": {"units": 2}}
    assert any("end it with a Linear with 1 unit" in issue.message for issue in issues(apply(project, edit)))


def test_frozen_networks_are_refused_in_words(home: Path) -> None:
    project = document()
    nodes = dict(project.main_network.nodes)
    nodes["generator_1"] = nodes["generator_1"].model_copy(update={"frozen": True})
    frozen = project.with_network("main", project.main_network.model_copy(update={"nodes": nodes}))
    with pytest.raises(ValueError, match="The generator has no trainable weights"):
        loop(frozen, home)


def test_it_is_not_explained_and_says_why() -> None:
    run = fit_here(document(epochs=1))
    assert {method.available for method in methods(run)} == {False}
    with pytest.raises(ExplainError, match="noise values have no meaning"):
        explain(run, "occlusion", 1)


@pytest.fixture(scope="module")
def judge() -> nn.Module:
    """A classifier that this test trains on the real training digits; the generator never hears of it."""
    data = prepare(DataChoice(dataset="digits"))
    inputs, target = data.inputs["image"], data.target
    torch.manual_seed(3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    rows = data.split["train"]
    for _ in range(40):
        for part in torch.tensor_split(rows[torch.randperm(len(rows))], 20):
            loss = functional.cross_entropy(model(inputs[part]), target[part])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    test = data.split["test"]
    with torch.no_grad():
        assert float((model(inputs[test]).argmax(1) == target[test]).double().mean()) > 0.95
    return model


@pytest.mark.slow
@pytest.mark.long
def test_a_judge_of_its_own_reads_all_ten_digits(judge: nn.Module) -> None:
    run = at_its_figure(ELSEWHERE)
    torch.manual_seed(1)
    with torch.no_grad():
        pictures, _ = run.model(torch.randn(1000, 16))
        shares = judge(pictures).softmax(1)
    confidence, counts = shares.max(1).values, shares.argmax(1).bincount(minlength=10)
    mean = shares.mean(0)
    diversity = float(-(mean * mean.log()).sum().exp().log() / log(10))  # 1 where all ten are as frequent
    inner = nn.Sequential(*list(judge.children())[:-1])
    real = run.data.inputs["image"][run.data.split["test"]]
    spread = torch.randn(1000, 1, 8, 8) * real.std(0) + real.mean(0)
    with torch.no_grad():
        near, far = (frechet(inner(made).double(), inner(real).double()) for made in (pictures, spread))
    assert float(confidence.mean()) > 0.85
    assert int(counts.min()) >= 20
    assert diversity > 0.9
    assert near < 0.4 * far


def test_what_a_gan_answers() -> None:
    run = fit_here(document(epochs=1))
    found = evaluate(run)
    assert set(found.samples) == {"Generated", "From the data"}
    assert np.array(found.samples["Generated"]).shape == (64, 1, 8, 8)
    assert json.loads(json.dumps(found.as_json()))["samples"] == found.samples
    answer = predict(run, [{f"noise_{place}": 0.1 * place for place in range(1, 17)}])[0]
    assert np.array(answer["prediction"]).shape == (1, 8, 8)
    assert 0 <= answer["real"] <= 1
