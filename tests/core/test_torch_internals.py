"""What is used of PyTorch beyond its public interface: it is in one module, and works as that module expects."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import nn

from netloom.core import torch_internals as internals
from tests.sources import PACKAGE, ROOT, complaints, modules

GUARD = PACKAGE / "core" / "torch_internals.py"
# Parts of nn.Module and of optimizers, by which their insides are reached.
INSIDES = ("_modules", "_parameters", "_buffers", "_cdata", "_overloadpacket", "_schema", "__closure__")
CHANGED = f"PyTorch {torch.__version__} changed it: adapt netloom.core.torch_internals"
ATEN = torch.ops.aten


def test_no_other_module_uses_what_is_not_public() -> None:
    found = complaints(modules() - {GUARD}, private)
    assert not found, "Move these into netloom.core.torch_internals:\n" + "\n".join(found)


def private(source: str) -> list[str]:
    """The private names of PyTorch that a module uses, and texts that name its private modules."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "torch":
            found += [f"{node.module}.{alias.name}" for alias in node.names if "._" in f"{node.module}.{alias.name}"]
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith("torch.") and "._" in alias.name]
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            reached = name.startswith("torch.") and node.attr.startswith("_") and not node.attr.startswith("__")
            found += [name] if reached or (node.attr in INSIDES and not name.startswith("self.")) else []
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("torch."):
            found += [node.value] if "._" in node.value else []
    return found


def test_the_check_itself_sees_every_way() -> None:
    text = "import torch._a\nfrom torch._b import c\nfrom torch import _d\ntorch.x._e\nmodule._modules\n'torch._f'"
    assert len(private(text)) == 6
    assert not private("import torch.nn\nfrom torch import nn\ntorch.x.e\nself._modules\n'torch.f'")


def test_the_version_has_an_upper_bound() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert any(text.startswith("torch>=") and ",<2." in text for text in project["dependencies"])


@pytest.mark.parametrize("name", [internals.COMPILER, *internals.RECORDING_LOGGERS, internals.ONNX_LOGGER])
def test_a_module_that_is_named_exists(name: str) -> None:
    assert find_spec(name) is not None, CHANGED


def test_a_context_carries_out_operations_by_their_families() -> None:
    seen = []

    class Recorder(internals.dispatch_mode()):  # type: ignore[misc]
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(internals.family(function))
            return function(*args, **(kwargs or {}))

    with Recorder():
        torch.mm(meta(2, 3), meta(3, 4))
    assert ATEN.mm in seen, CHANGED


def test_a_storage_is_told_from_another_and_not_from_its_views() -> None:
    one, other = meta(4, 3), meta(4, 3)
    assert internals.storage_id(one) == internals.storage_id(one.t()[1:]), CHANGED
    assert internals.storage_id(one) != internals.storage_id(other), CHANGED


def test_a_shallow_copy_shares_weights_and_has_parts_and_hooks_of_its_own() -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    made = internals.shallow_copy(module)
    assert made.get_parameter("0.weight") is module.get_parameter("0.weight"), CHANGED
    setattr(made, "1", nn.Identity())
    made.register_forward_hook(lambda *_: torch.zeros(1))
    assert isinstance(module.get_submodule("1"), nn.ReLU), CHANGED
    assert module(torch.zeros(1, 3)).shape == (1, 2), CHANGED
    assert made(torch.zeros(1, 3)).shape == (1,), CHANGED


def meta(*shape: int) -> torch.Tensor:
    return torch.zeros(shape, device="meta")


def test_operations_say_what_they_do() -> None:
    assert internals.changes_its_input(ATEN.add_.Tensor), CHANGED
    assert not internals.changes_its_input(ATEN.add.Tensor), CHANGED


def test_a_bilinear_layer_is_one_operation() -> None:
    seen = []

    class Recorder(internals.dispatch_mode()):  # type: ignore[misc]
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(function)
            return function(*args, **(kwargs or {}))

    with Recorder():
        nn.Bilinear(5, 3, 2, device="meta")(meta(4, 5), meta(4, 3))
    assert internals.bilinear_operation() in seen, CHANGED
