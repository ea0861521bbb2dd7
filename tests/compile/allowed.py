"""What generated source may hold, told from its syntax tree alone."""

from __future__ import annotations

import ast

import builder.nn

IMPORTS = {"math", "torch", "torch.nn", "torch.nn.functional"}


def check(text: str) -> None:
    """Fail unless `text` imports torch and math alone and builds nothing but modules of torch.nn and builder.nn."""
    tree = ast.parse(text)
    for node in tree.body:
        assert isinstance(node, (ast.Expr, ast.Import, ast.ImportFrom, ast.ClassDef)), ast.dump(node)
        if isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant)
        if isinstance(node, ast.ClassDef):
            assert node.name == "Main" or node.name in builder.nn.__all__
            assert not node.decorator_list
    imported = set()
    for item in ast.walk(tree):
        if isinstance(item, ast.Import):
            imported |= {name.name for name in item.names}
        elif isinstance(item, ast.ImportFrom):
            imported |= {f"{item.module}.{name.name}" for name in item.names}
    assert imported <= IMPORTS, imported
    main = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Main")
    assert [function.name for function in main.body if isinstance(function, ast.FunctionDef)] == ["__init__", "forward"]
    assert len(main.body) == 2
    for item in ast.walk(main):
        if isinstance(item, ast.Call):
            _check_call(item)
        assert not isinstance(
            item, (ast.Lambda, ast.Import, ast.ImportFrom, ast.Await, ast.Yield, ast.ListComp, ast.JoinedStr, ast.With)
        )


def _check_call(call: ast.Call) -> None:
    target = ast.unparse(call.func)
    if target == "super().__init__" or target == "super":
        assert not call.args
        return
    head, _, rest = target.partition(".")
    if head == "self":
        frozen = rest.endswith(".requires_grad_")
        assert rest.removesuffix(".requires_grad_").isidentifier(), target
        assert frozen or all(isinstance(value, ast.Name) for value in call.args), target
        return
    assert (head == "nn" and rest.isidentifier()) or target in builder.nn.__all__, target
    for value in (*call.args, *(word.value for word in call.keywords)):
        literal = ast.literal_eval(value)
        assert literal is None or isinstance(literal, (int, float, bool, str, tuple)), target
