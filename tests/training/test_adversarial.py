"""GANs: losses, alternating steps, Fréchet distance, and generated images judged by an independent classifier."""

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
    """The template with a short training."""
    project = templates()["digits_gan"].project
    short = project.training.model_copy(update={"epochs": 2, "batch_size": 256, "device": "cpu", **training})
    return project.model_copy(update={"training": short})


def errors_of(project: Project) -> list[Issue]:
    return [issue for issue in validate(project, schema(project.data)) if issue.severity == "error"]


def adversarial_trainer(project: Project, home: Path) -> AdversarialTrainer:
    trainer = loop(project, home)
    assert isinstance(trainer, AdversarialTrainer)
    return trainer


def test_gan_losses_match_the_paper() -> None:
    """Computed manually from probabilities instead of logits."""
    real, fake = torch.tensor([[0.3], [-2.0]]), torch.tensor([[1.5], [-0.4], [0.0]])
    p, q = (1 / (1 + np.exp(-values.double().numpy())) for values in (real, fake))
    assert float(discriminator_loss(real, fake)) == pytest.approx(-np.log(p).mean() - np.log(1 - q).mean(), rel=1e-6)
    assert float(generator_loss(fake)) == pytest.approx(-np.log(q).mean(), rel=1e-6)
    # For a discriminator at chance level, the losses are 2 ln 2 and ln 2.
    assert float(discriminator_loss(torch.zeros(4, 1), torch.zeros(4, 1))) == pytest.approx(2 * log(2))
    output = torch.cat([torch.randn(3, 64), fake], dim=1)
    objective, target = OBJECTIVES["gan"], torch.randn(3, 1, 8, 8)
    assert float(objective.loss(output, target)) == pytest.approx(-np.log(q).mean(), rel=1e-6)
    scores = objective.scores(output, target)
    assert float(scores.sums["loss"]) / scores.count == pytest.approx(-np.log(q).mean(), rel=1e-6)


def test_gan_losses_are_finite_for_large_logits() -> None:
    far = torch.tensor([[200.0], [-200.0]])
    assert float(generator_loss(far)) == pytest.approx(100)
    assert float(discriminator_loss(far, far)) == pytest.approx(200)


def test_each_half_step_updates_only_its_network(home: Path) -> None:
    trainer = halves = adversarial_trainer(document(), home)
    noise, real = trainer.data.inputs["noise"][:8], trainer.data.inputs["image"][:8]

    def weights_of(network: nn.Module) -> list[torch.Tensor]:
        return [weight.detach().clone() for weight in network.parameters()]

    def unchanged(first: list[torch.Tensor], second: list[torch.Tensor]) -> list[bool]:
        return [torch.equal(one, other) for one, other in zip(first, second, strict=True)]

    generator, discriminator = weights_of(halves.generator), weights_of(halves.discriminator)
    fake = halves.generator(noise)
    halves.train_discriminator(fake.detach(), real)
    assert all(unchanged(generator, weights_of(halves.generator)))
    assert not any(unchanged(discriminator, weights_of(halves.discriminator)))
    discriminator = weights_of(halves.discriminator)
    halves.train_generator(fake)
    assert all(unchanged(discriminator, weights_of(halves.discriminator)))
    assert not all(unchanged(generator, weights_of(halves.generator)))
    assert all(weight.requires_grad for weight in halves.discriminator.parameters())


def test_train_step_matches_manual_gan_loop(home: Path) -> None:
    """The textbook loop: binary cross-entropy with labels, and one optimizer per network.

    With SGD: Adam would amplify rounding errors of gradients near 0 to full steps.
    """
    project = document(optimizer="sgd", learning_rate=0.01)
    trainer = trainer_networks = adversarial_trainer(project, home)
    manual_trainer = manual = adversarial_trainer(project, home)
    rate = trainer.learning_rate
    optimizers = [torch.optim.SGD(net.parameters(), rate, 0.9) for net in (manual.generator, manual.discriminator)]
    noise, real = trainer.data.inputs["noise"][:32], trainer.data.inputs["image"][:32]
    for part in (trainer_networks.generator, trainer_networks.discriminator, manual.generator, manual.discriminator):
        part.train()
    entropy = functional.binary_cross_entropy_with_logits
    for step in range(3):
        torch.manual_seed(step)
        trainer_networks.train_step([noise], real)
        torch.manual_seed(step)
        fake = manual.generator(torch.randn_like(noise))
        on_real, on_fake = manual.discriminator(real), manual.discriminator(fake.detach())
        optimizers[1].zero_grad()
        (entropy(on_real, torch.ones_like(on_real)) + entropy(on_fake, torch.zeros_like(on_fake))).backward()  # type: ignore[no-untyped-call]
        optimizers[1].step()
        optimizers[0].zero_grad()
        on_real = manual.discriminator(fake)
        entropy(on_real, torch.ones_like(on_real)).backward()  # type: ignore[no-untyped-call]
        optimizers[0].step()
    for actual, expected in zip(
        trainer.model.state_dict().values(), manual_trainer.model.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_resumed_run_equals_uninterrupted_run(home: Path, tmp_path: Path) -> None:
    """Interrupted within the first epoch and between epochs; for the second, see `tests.runs.test_resuming`."""
    project = document(gradient_clip=1.0, schedule="cosine")
    whole, recorder = loop(project, home), Recorder()
    assert whole.fit(recorder)
    for stop_at in (1, 5):
        resumed, first, second = broken_off(project, stop_at, home, tmp_path / str(stop_at))
        for one, other in zip(whole.model.state_dict().values(), resumed.model.state_dict().values(), strict=True):
            assert torch.equal(one, other), stop_at
        assert json.dumps(_as_json(whole.checkpoint().state)) == json.dumps(_as_json(resumed.checkpoint().state)), (
            stop_at
        )
        for name in OBJECTIVES["gan"].metrics:
            assert len(recorder.curve("validation", name)) == 2
            resumed_curve = first.curve("validation", name) + second.curve("validation", name)
            assert recorder.curve("validation", name) == resumed_curve, stop_at


def _as_json(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in value.items()}
    return [_as_json(item) for item in value] if isinstance(value, (list, tuple)) else value


def test_learning_rate_reaches_both_optimizers(home: Path) -> None:
    trainer = loop(document(epochs=1), home)
    trainer.learning_rate = 0.0123
    trainer.fit(Recorder(stop_at=1))
    assert [group["lr"] for group in trainer.optimizer.param_groups] == [0.0123, 0.0123]
    assert [group["betas"] for group in trainer.optimizer.param_groups] == [(0.5, 0.999)] * 2


def test_gan_metrics_match_manual_computation(home: Path) -> None:
    trainer = adversarial_trainer(document(), home)
    rng_state = torch.get_rng_state()
    evaluation = trainer.evaluate("validation")
    assert torch.equal(rng_state, torch.get_rng_state())
    rows = trainer.data.split["validation"]
    with torch.no_grad():
        images, fake_logits = trainer.model.eval()(trainer.data.inputs["noise"][rows])
        real_logits = trainer.discriminator(trainer.data.inputs["image"][rows])
    assert set(evaluation) == set(OBJECTIVES["gan"].metrics)
    accuracy = ((real_logits > 0).double().mean() + (fake_logits < 0).double().mean()) / 2
    assert evaluation["told_apart"] == pytest.approx(float(accuracy))
    assert evaluation["generator_loss"] == pytest.approx(float(-fake_logits.sigmoid().log().mean()), rel=1e-4)
    assert evaluation["loss"] == pytest.approx(frechet(features(images), features(trainer.data.inputs["image"][rows])))


def test_frechet_distance_matches_eigenvalue_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(300, 5, generator=generator).double() @ torch.randn(5, 5, generator=generator).double()
    second = 2 * torch.randn(200, 5, generator=generator).double() + 1
    one, other = np.cov(first.T, bias=True), np.cov(second.T, bias=True)
    # The trace of a matrix root is the sum of the roots of the eigenvalues; C₁C₂ and C₁^½ C₂ C₁^½ have the same ones.
    shared = np.sqrt(np.linalg.eigvals(one @ other).real).sum()
    expected = ((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(one + other) - 2 * shared
    assert frechet(first, second) == pytest.approx(float(expected), rel=1e-6)
    assert frechet(first, first) == pytest.approx(0, abs=1e-6)
    assert frechet(first, first + 3) == pytest.approx(45)
    assert np.isnan(frechet(first, torch.full((3, 5), torch.nan)))


def test_frechet_features_downscale_large_images() -> None:
    assert features(torch.rand(4, 3, 100, 60)).shape == (4, 3 * 64)
    assert features(torch.rand(4, 1, 8, 8)).shape == (4, 64)
    mixed = shuffled(torch.arange(12.0).reshape(6, 2))
    assert [sorted(column.tolist()) for column in mixed.T] == [[0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9, 11]]


def test_noise_field_is_standard_normal_and_reproducible(home: Path) -> None:
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


def test_validation_reports_missing_gan_parts_with_fixes(home: Path) -> None:
    project = document()
    assert errors_of(project) == []
    without_noise = project.model_copy(update={"data": DataChoice(dataset="digits")})
    noise_issue = next(issue for issue in errors_of(without_noise) if issue.code == "gan_noise")
    assert noise_issue.fix is not None
    assert not [issue for issue in errors_of(apply(without_noise, noise_issue.fix.edit)) if issue.code == "gan_noise"]

    def without(*nodes: str) -> set[str]:
        edit = {"kind": "remove", "network": "main", "nodes": list(nodes), "edges": []}
        return {issue.message for issue in errors_of(apply(project, edit)) if issue.code.startswith("gan")}

    (message,) = without("discriminator_1")
    assert message.startswith("A GAN needs exactly one network named discriminator")
    assert "To fix this, add the network discriminator to this one." in message
    assert len(without("discriminator_1", "generator_1")) == 2
    assert any("two Outputs" in message for message in without("output_1"))
    other = templates()["digits_mlp"].project
    found_issues = errors_of(other.model_copy(update={"training": project.training}))
    assert {"gan_networks", "gan_noise"} <= {issue.code for issue in found_issues}
    tabular = project.model_copy(update={"data": DataChoice(dataset="moons")})
    assert any("the data has no images" in issue.message for issue in errors_of(tabular))


def test_validation_rejects_discriminator_with_two_units() -> None:
    project = document()
    edit = {"kind": "set", "network": "discriminator", "node": "linear_1", "params": {"units": 2}}
    assert any("end it with a Linear with 1 unit" in issue.message for issue in errors_of(apply(project, edit)))


def test_frozen_generator_raises_value_error(home: Path) -> None:
    project = document()
    nodes = dict(project.main_network.nodes)
    nodes["generator_1"] = nodes["generator_1"].model_copy(update={"frozen": True})
    frozen = project.with_network("main", project.main_network.model_copy(update={"nodes": nodes}))
    with pytest.raises(ValueError, match="The generator has no trainable weights"):
        loop(frozen, home)


def test_gan_explanation_is_refused_with_a_reason() -> None:
    run = fit_here(document(epochs=1))
    assert {method.available for method in methods(run)} == {False}
    with pytest.raises(ExplainError, match="noise values have no meaning"):
        explain(run, "occlusion", 1)


@pytest.fixture(scope="module")
def digit_classifier() -> nn.Module:
    """A classifier that this test trains on the real digits, independently of the generator."""
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
def test_independent_classifier_recognizes_all_generated_digits(digit_classifier: nn.Module) -> None:
    run = at_its_figure(ELSEWHERE)
    torch.manual_seed(1)
    with torch.no_grad():
        images, _ = run.model(torch.randn(1000, 16))
        probabilities = digit_classifier(images).softmax(1)
    confidence, counts = probabilities.max(1).values, probabilities.argmax(1).bincount(minlength=10)
    mean = probabilities.mean(0)
    diversity = float(-(mean * mean.log()).sum().exp().log() / log(10))  # 1 if all ten digits are equally frequent
    inner = nn.Sequential(*list(digit_classifier.children())[:-1])
    real = run.data.inputs["image"][run.data.split["test"]]
    noise = torch.randn(1000, 1, 8, 8) * real.std(0) + real.mean(0)
    with torch.no_grad():
        near, far = (frechet(inner(generated).double(), inner(real).double()) for generated in (images, noise))
    assert float(confidence.mean()) > 0.85
    assert int(counts.min()) >= 20
    assert diversity > 0.9
    assert near < 0.4 * far


def test_gan_evaluation_and_prediction_contain_images() -> None:
    run = fit_here(document(epochs=1))
    evaluation = evaluate(run)
    assert set(evaluation.samples) == {"Generated", "From the data"}
    assert np.array(evaluation.samples["Generated"]).shape == (64, 1, 8, 8)
    assert json.loads(json.dumps(evaluation.as_json()))["samples"] == evaluation.samples
    answer = predict(run, [{f"noise_{index}": 0.1 * index for index in range(1, 17)}])[0]
    assert np.array(answer["prediction"]).shape == (1, 8, 8)
    assert 0 <= answer["real"] <= 1
