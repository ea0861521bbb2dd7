"""Private PyTorch APIs: they are used in one module only, and work as that module expects."""

from __future__ import annotations

import ast
import inspect
import re
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import nn

from netloom.core import torch_internals as internals
from tests.sources import PACKAGE, ROOT, complaints, modules

GUARD = PACKAGE / "core" / "torch_internals.py"
# Private attributes of nn.Module and of optimizers.
INSIDES = ("_modules", "_parameters", "_buffers", "_cdata", "_overloadpacket", "_schema", "__closure__")
# Text that every use contains; the files without it need not be parsed.
PRIVATE = re.compile(
    rf"(?<!\bself)\._(?!_)|\bimport\b[^\n]*\b_[a-z]|^\s+_\w+( as \w+)?,$|\.({'|'.join(INSIDES)})\b", re.MULTILINE
)
CHANGED = f"PyTorch {torch.__version__} changed it: adapt netloom.core.torch_internals"
ATEN = torch.ops.aten


def test_no_other_module_uses_private_torch_names() -> None:
    violations = complaints(modules() - {GUARD}, private_torch_names)
    assert not violations, "Move these into netloom.core.torch_internals:\n" + "\n".join(violations)


def private_torch_names(source: str) -> list[str]:
    """The private names of PyTorch that a module uses, and texts that name its private modules."""
    names: list[str] = []
    if not PRIVATE.search(source):
        return names
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "torch":
            names += [f"{node.module}.{alias.name}" for alias in node.names if "._" in f"{node.module}.{alias.name}"]
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names if alias.name.startswith("torch.") and "._" in alias.name]
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            name = ast.unparse(node)
            reached = name.startswith("torch.") and node.attr.startswith("_") and not node.attr.startswith("__")
            names += [name] if reached or (node.attr in INSIDES and not name.startswith("self.")) else []
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("torch."):
            names += [node.value] if "._" in node.value else []
    return names


def test_check_detects_every_private_use() -> None:
    text = "import torch._a\nfrom torch._b import c\nfrom torch import _d\ntorch.x._e\nmodule._modules\n'torch._f'"
    assert len(private_torch_names(text)) == 6
    for line in text.splitlines():
        assert len(private_torch_names(line)) == 1
    assert private_torch_names("from torch import (\n    _d,\n    e,\n)") == ["torch._d"]
    assert private_torch_names("module.__closure__") == ["module.__closure__"]
    assert not private_torch_names("import torch.nn\nfrom torch import nn\ntorch.x.e\nself._modules\n'torch.f'")


def test_torch_version_has_an_upper_bound() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert any(text.startswith("torch>=") and ",<2." in text for text in project["dependencies"])


@pytest.mark.parametrize("name", [internals.COMPILER, *internals.RECORDING_LOGGERS, internals.ONNX_LOGGER])
def test_named_internal_module_exists(name: str) -> None:
    assert find_spec(name) is not None, CHANGED


def test_optimizers_do_not_ask_for_the_compiler() -> None:
    """The test of a new worker checks that it is not imported."""
    internals.spare_optimizers_the_compiler()
    for method in (torch.optim.Optimizer.add_param_group, torch.optim.Optimizer.zero_grad):
        inner = inspect.unwrap(method)
        assert inner is not method, CHANGED
        assert "__dynamo_disable" in vars(inner)


def test_dispatch_mode_reports_operator_families() -> None:
    families = []

    class Recorder(internals.dispatch_mode()):  # type: ignore[misc]
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            families.append(internals.family(function))
            return function(*args, **(kwargs or {}))

    with Recorder():
        torch.mm(meta_tensor(2, 3), meta_tensor(3, 4))
    assert ATEN.mm in families, CHANGED


@pytest.mark.parametrize("is_reversed", [False, True])
def test_scan_hands_states_from_step_to_step_and_is_one_operator(is_reversed: bool) -> None:
    class Total(nn.Module):
        def forward(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            def step(states: list[torch.Tensor], parts: list[torch.Tensor]) -> tuple[list[Any], list[Any]]:
                return [states[0] + parts[0]], [states[0] * 1.0]

            states, results = internals.scan(step, [torch.zeros(2)], [rows], is_reversed=is_reversed)
            return states[0], results[0]

    rows = torch.randn(4, 2)
    order = [0] if is_reversed else []
    sums = rows.flip(order).cumsum(0)
    last, before = Total()(rows)
    torch.testing.assert_close(last, sums[-1])
    torch.testing.assert_close(before, torch.cat((torch.zeros(1, 2), sums[:-1])).flip(order))
    program = torch.export.export(Total(), (rows,))
    assert "scan" in {str(node.target).removeprefix("higher_order.") for node in program.graph.nodes}, CHANGED


@pytest.mark.filterwarnings("ignore:The tensor attributes? .*_flat_weights")
@pytest.mark.parametrize("is_bidirectional", [False, True])
def test_lstms_are_exported_with_the_shapes_of_their_last_states(is_bidirectional: bool) -> None:
    internals.correct_lstm_states()
    lstm = nn.LSTM(4, 6, 2, batch_first=True, bidirectional=is_bidirectional)
    program = torch.export.export(lstm, (torch.randn(3, 5, 4),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    outputs = [output.meta["val"].shape for output in program.graph.output_node().args[0]]
    batch = outputs[0][0]
    states = (2 * (1 + is_bidirectional), batch, 6)
    assert outputs == [(batch, 5, 6 * (1 + is_bidirectional)), states, states], CHANGED


def test_storage_id_is_shared_by_views_only() -> None:
    first, second = meta_tensor(4, 3), meta_tensor(4, 3)
    assert internals.storage_id(first) == internals.storage_id(first.t()[1:]), CHANGED
    assert internals.storage_id(first) != internals.storage_id(second), CHANGED


def test_shallow_copy_shares_weights_but_not_submodules_or_hooks() -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    copied = internals.shallow_copy(module)
    assert copied.get_parameter("0.weight") is module.get_parameter("0.weight"), CHANGED
    setattr(copied, "1", nn.Identity())
    copied.register_forward_hook(lambda *_: torch.zeros(1))
    assert isinstance(module.get_submodule("1"), nn.ReLU), CHANGED
    assert module(torch.zeros(1, 3)).shape == (1, 2), CHANGED
    assert copied(torch.zeros(1, 3)).shape == (1,), CHANGED


def meta_tensor(*shape: int) -> torch.Tensor:
    return torch.zeros(shape, device="meta")


def test_in_place_operations_are_detected() -> None:
    assert internals.changes_its_input(ATEN.add_.Tensor), CHANGED
    assert not internals.changes_its_input(ATEN.add.Tensor), CHANGED


def test_bilinear_layer_is_one_operation() -> None:
    functions = []

    class Recorder(internals.dispatch_mode()):  # type: ignore[misc]
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            functions.append(function)
            return function(*args, **(kwargs or {}))

    with Recorder():
        nn.Bilinear(5, 3, 2, device="meta")(meta_tensor(4, 5), meta_tensor(4, 3))
    assert internals.bilinear_operation() in functions, CHANGED


def test_leaves_are_listed_as_in_the_program_of_a_module() -> None:
    class Nested(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, list[torch.Tensor]]]:
            return x + 1, {"others": [x + 2, x + 3]}

    rows = torch.zeros(2)
    outputs = torch.export.export(Nested(), (rows,)).graph_signature.user_outputs
    assert [float(leaf[0]) for leaf in internals.leaves(Nested()(rows))] == [1, 2, 3]
    assert len(outputs) == 3, CHANGED
