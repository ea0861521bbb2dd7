"""Every method on the networks of all templates: finite or refused with a reason."""

from __future__ import annotations

import numpy as np
import pytest

from netloom.explain import explain, methods
from netloom.templates import templates
from tests.explain.models import QUICK, untrained_run
from tests.explain.test_conformance import check_explanation
from tests.networks import with_rows

# Methods that satisfy completeness by construction, whatever the network.
EXACT = ("deep_lift", "deep_lift_shap", "shapley", "shapley_sampling")

# These cover each task, each kind of field and target, each method, nested networks and the layers with rules of their
# own; `pytest -m long` explains the others.
COVERING = (
    "breast_cancer",
    "breast_cancer_binary",
    "cartpole_dqn",
    "cartpole_ppo",
    "cartpole_reinforce",
    "clicks_deepfm",
    "commands_joint",
    "dates_transformer",
    "digits_denoising",
    "digits_gan",
    "digits_vit",
    "intents_experts",
    "molecules_gcn",
    "pulses_anomaly",
    "ratings_bpr",
    "requests_tagger",
    "same_digits_contrastive",
    "scenes_labels",
    "shapes_detector",
    "shapes_simclr",
    "shapes_two_outputs",
    "shapes_unet",
    "sine_dlinear",
    "sine_own_cell",
    "tales",
)


def test_covering_templates_have_every_task() -> None:
    projects = {name: template.project for name, template in templates().items()}
    assert {projects[name].training.objective for name in COVERING} == {
        project.training.objective for project in projects.values()
    }


@pytest.mark.parametrize(
    "name", [name if name in COVERING else pytest.param(name, marks=pytest.mark.long) for name in templates()]
)
def test_every_template_is_explained_or_refused_with_a_reason(name: str) -> None:
    """With untrained weights: only the architecture matters here."""
    project = with_rows(templates()[name].project, 400)
    run = untrained_run(project)
    for method in methods(run):
        if not method.available:
            assert method.reason.endswith("."), method
            continue
        explanation = explain(run, method.name, 1, proofs=False, **QUICK.get(method.name, {}))
        check_explanation(explanation, run)
        proof = explanation.proofs.completeness
        if method.name in EXACT:
            assert proof is not None
            rounding = 2 * np.finfo(np.float32).eps * abs(proof.score)  # where both answers are nearly equal
            assert proof.relative_error is None or proof.relative_error <= 1e-3 or abs(proof.delta) <= rounding, (
                method.name
            )
        if method.name == "integrated_gradients":
            assert proof is not None
            # Expert routing is discontinuous along the path, so no number of steps is enough.
            jumps = "MixtureOfExperts" in {node.type for node in project.main_network.nodes.values()}
            assert proof.word in ("exact", "converged", "approximate") or (
                jumps and explanation.verdict.level == "poor"
            )
