"""Private APIs of Captum: they are used in one module only, and work as that module expects."""

from __future__ import annotations

import ast

import captum
import pytest
import torch
from captum.attr import LRP
from torch import nn

from netloom.core import captum_internals as internals
from tests.sources import PACKAGE, ROOT, complaints, modules

GUARD = PACKAGE / "core" / "captum_internals.py"
CHANGED = f"Captum {captum.__version__} changed it: adapt netloom.core.captum_internals"


def test_no_other_module_uses_private_captum_names() -> None:
    violations = complaints(modules() - {GUARD}, private_captum_names)
    assert not violations, "Move these into netloom.core.captum_internals:\n" + "\n".join(violations)


def private_captum_names(source: str) -> list[str]:
    """The private names of Captum that a module imports or reaches, and texts that name its private modules."""
    names: list[str] = []
    if "captum" not in source:
        return names
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "captum":
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        if isinstance(node, ast.Attribute):
            names.append(ast.unparse(node))
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.append(node.value)
    return [name for name in names if name.startswith("captum.") and "._" in name]


def test_check_detects_every_private_use() -> None:
    text = "import captum._a\nfrom captum.attr._b import c\nfrom captum import _d\ncaptum.x._e\n'captum._f'"
    assert len(private_captum_names(text)) == 5
    assert not private_captum_names("import captum.attr\nfrom captum import attr\ncaptum.x.e\n'captum.f'")


def test_captum_version_has_an_upper_bound() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert any(text.startswith("captum>=") and ",<0." in text for text in project["dependencies"])


def test_epsilon_rule_equals_input_times_gradient() -> None:
    """With this rule, LRP of linear layers and ReLU is Input × Gradient, up to the bias (Ancona et al. 2018), also
    through a layer for which Captum has no rule."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3, bias=False), nn.AdaptiveAvgPool1d(1)).double()
    inputs = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(model(inputs).sum(), inputs)
    for layer in model:
        if not isinstance(layer, nn.ReLU):
            layer.rule = internals.epsilon_rule()
    relevance = LRP(model).attribute(inputs, target=0)
    assert relevance.detach().numpy() == pytest.approx((inputs * gradient).detach().numpy(), rel=1e-5, abs=1e-7), (
        CHANGED
    )
