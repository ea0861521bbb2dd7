"""Checks what generated source may contain, from its syntax tree alone."""

from __future__ import annotations

import ast
import re

import netloom.nn

IMPORTS = {"math", "torch", "torch.nn", "torch.nn.functional"}
# The calls of a class that applies a network, the argument `cell`, once for each step along an axis
_LOOP_CALLS = (
    r"super\(\)(\.__init__\(\))?",
    r"nn\.Parameter\(torch\.zeros\(\w+\)\)|torch\.zeros\(\w+(, dtype=torch\.int64)?\)",
    r"self\.register_buffer\('initial_\w+', torch\.zeros\(\w+(, dtype=torch\.int64)?\), persistent=False\)",
    r"self\.initial_\w+\.expand\(\w+\.shape\[0\], \*self\.initial_\w+\.shape\)",
    r"(reversed\()?\w+\.unbind\(\d\)\)?|zip\((reversed\(|\w+\.unbind\(\d\)|\)|, )+strict=True\)",
    r"self\.cell\([\w, ]+\)|\w+_steps_*\.append\(\w+\)|torch\.stack\(\w+_steps_*(\[::-1\])?, \d\)",
    r"AuxiliaryLossSum\(self\)|losses_*\.(add|assign)\(\)",
)


def check(text: str) -> ast.Module:
    """Return the syntax tree of `text`; fail unless it imports only torch and math and instantiates only its own
    classes and existing modules."""
    tree = ast.parse(text)
    helpers = netloom.nn.__all__
    class_names = {node.name for node in tree.body if isinstance(node, ast.ClassDef)} - set(helpers)
    for node in tree.body:
        assert isinstance(node, (ast.Expr, ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef)), ast.dump(node)
        if isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant)
        if isinstance(node, ast.FunctionDef):
            assert node.name in helpers
        if isinstance(node, ast.ClassDef):
            assert not node.decorator_list
    imported = set()
    for item in ast.walk(tree):
        if isinstance(item, ast.Import):
            imported |= {name.name for name in item.names}
        elif isinstance(item, ast.ImportFrom):
            imported |= {f"{item.module}.{name.name}" for name in item.names}
    assert imported <= IMPORTS, imported
    assert "Main" in class_names
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name in class_names:
            _check_class(node, class_names)
    return tree


def _check_class(class_definition: ast.ClassDef, class_names: set[str]) -> None:
    methods = [function.name for function in class_definition.body if isinstance(function, ast.FunctionDef)]
    # Networks with frozen layers have a train method that keeps their statistics.
    assert methods in (["__init__", "forward"], ["__init__", "train", "forward"])
    assert len(class_definition.body) == len(methods)
    constructor = class_definition.body[0]
    assert isinstance(constructor, ast.FunctionDef)
    names = {argument.arg for argument in constructor.args.args}
    applies_steps = len(constructor.args.args) > 1 and constructor.args.args[1].arg == "cell"
    for item in ast.walk(class_definition):
        if isinstance(item, ast.Call) and applies_steps:
            assert any(re.fullmatch(pattern, ast.unparse(item)) for pattern in _LOOP_CALLS), ast.unparse(item)
        elif isinstance(item, ast.Call):
            _check_call(item, class_names, names)
        assert not isinstance(
            item, (ast.Lambda, ast.Import, ast.ImportFrom, ast.Await, ast.Yield, ast.JoinedStr, ast.With)
        )


def _check_call(call: ast.Call, class_names: set[str], names: set[str]) -> None:
    target = ast.unparse(call.func)
    if target == "super().__init__" or target == "super":
        assert not call.args
        return
    if target == "super().train":
        assert ast.unparse(call) == "super().train(mode)"
        return
    if target.startswith("nn.init.") or target.endswith((".data.div_", ".data.mul_")):
        _check_initialization(call, target)
        return
    if target == "math.sqrt":
        assert isinstance(ast.literal_eval(call.args[0]), int)
        return
    head, _, attribute = target.partition(".")
    if head == "self":
        frozen = attribute.endswith(".requires_grad_")
        assert attribute.removesuffix(".requires_grad_").isidentifier(), target
        assert frozen or all(isinstance(value, ast.Name) for value in call.args), target
        return
    if target in ("tie", "keep_statistics"):
        assert all(isinstance(value, ast.Attribute) and ast.unparse(value.value) == "self" for value in call.args)
        return
    if target == "range":
        assert len(call.args) == 1
    elif target == "Repeated":
        assert isinstance(call.args[0], (ast.List, ast.ListComp))
        return
    else:
        assert (head == "nn" and attribute.isidentifier()) or target in netloom.nn.__all__ or target in class_names, (
            target
        )
    for value in (*call.args, *(word.value for word in call.keywords)):
        if isinstance(value, ast.Call) and target in class_names:
            continue  # the network that a loop applies, which is checked as a call of its own
        _check_value(value, names, target)


def _check_initialization(call: ast.Call, target: str) -> None:
    """A function of nn.init on a weight of this network, or a factor of one; only literals and √ of one follow."""
    weight = r"(weight|bias|self(\.[a-z]\w*|\[\d+\])+)"
    if target.startswith("nn.init."):
        assert target.removeprefix("nn.init.").removesuffix("_").isidentifier(), target
        assert re.fullmatch(weight, ast.unparse(call.args[0])), ast.unparse(call)
    else:
        assert re.fullmatch(rf"{weight}\.data\.(div|mul)_", target), target
    values = [*call.args[target.startswith("nn.init.") :], *(word.value for word in call.keywords)]
    for value in map(ast.unparse, values):
        assert re.fullmatch(r"-?[\d.e-]+( / math\.sqrt\(\d+\))?|math\.sqrt\(\d+\)|'\w+'|self[\w.]+\.groups", value), (
            value
        )


def _check_value(value: ast.expr, names: set[str], target: str) -> None:
    """Literals, the class's own arguments, and sums of them."""
    if isinstance(value, ast.BinOp):
        _check_value(value.left, names, target)
        _check_value(value.right, names, target)
    elif isinstance(value, ast.Name):
        assert value.id in names, target
    else:
        literal = ast.literal_eval(value)
        assert literal is None or isinstance(literal, (int, float, bool, str, tuple)), target
