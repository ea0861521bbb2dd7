"""What generated source may hold, told from its syntax tree alone."""

from __future__ import annotations

import ast

import netloom.nn

IMPORTS = {"math", "torch", "torch.nn", "torch.nn.functional"}


def check(text: str) -> ast.Module:
    """The tree of `text`; fail unless it imports torch and math alone, and builds nothing but its own classes and
    modules that exist."""
    tree = ast.parse(text)
    own = netloom.nn.__all__
    made = {node.name for node in tree.body if isinstance(node, ast.ClassDef)} - set(own)
    for node in tree.body:
        assert isinstance(node, (ast.Expr, ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef)), ast.dump(node)
        if isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant)
        if isinstance(node, ast.FunctionDef):
            assert node.name in own
        if isinstance(node, ast.ClassDef):
            assert not node.decorator_list
    imported = set()
    for item in ast.walk(tree):
        if isinstance(item, ast.Import):
            imported |= {name.name for name in item.names}
        elif isinstance(item, ast.ImportFrom):
            imported |= {f"{item.module}.{name.name}" for name in item.names}
    assert imported <= IMPORTS, imported
    assert "Main" in made
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name in made:
            _check_class(node, made)
    return tree


def _check_class(found: ast.ClassDef, made: set[str]) -> None:
    methods = [function.name for function in found.body if isinstance(function, ast.FunctionDef)]
    # The one between is there where frozen parts keep their statistics.
    assert methods in (["__init__", "forward"], ["__init__", "train", "forward"])
    assert len(found.body) == len(methods)
    start = found.body[0]
    assert isinstance(start, ast.FunctionDef)
    names = {argument.arg for argument in start.args.args}
    for item in ast.walk(found):
        if isinstance(item, ast.Call):
            _check_call(item, made, names)
        assert not isinstance(
            item, (ast.Lambda, ast.Import, ast.ImportFrom, ast.Await, ast.Yield, ast.JoinedStr, ast.With)
        )


def _check_call(call: ast.Call, made: set[str], names: set[str]) -> None:
    target = ast.unparse(call.func)
    if target == "super().__init__" or target == "super":
        assert not call.args
        return
    if target == "super().train":
        assert ast.unparse(call) == "super().train(mode)"
        return
    head, _, rest = target.partition(".")
    if head == "self":
        frozen = rest.endswith(".requires_grad_")
        assert rest.removesuffix(".requires_grad_").isidentifier(), target
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
        assert (head == "nn" and rest.isidentifier()) or target in netloom.nn.__all__ or target in made, target
    for value in (*call.args, *(word.value for word in call.keywords)):
        _check_value(value, names, target)


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
