"""Environment variables: each is declared once, read on access, and refused if its value is invalid."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from netloom.core.settings import SettingError, Settings, check, settings, variable
from tests.sources import PACKAGE, SCRIPTS, complaints, modules

GUARD = PACKAGE / "core" / "settings.py"
COPIED = PACKAGE / "export" / "production" / "serve.py"  # runs in exports, where there are no settings


@pytest.fixture(autouse=True)
def unset_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset all variables."""
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_unset_or_empty_variable_has_its_default(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    default = Settings.model_fields[name].default
    assert getattr(settings, name) == default
    monkeypatch.setenv(variable(name), "")
    assert getattr(settings, name) == ("" if name == "cuda_visible_devices" else default)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_setting_has_a_one_line_description(name: str) -> None:
    description = Settings.model_fields[name].description
    assert description
    assert not set("\n|") & set(description)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("workers", "3", 3),
        ("waiting_each", "0", 0),
        ("run_hours", "0.5", 0.5),
        ("kept_bytes", "0", 0),
        ("allow_code", "1", True),
        ("allow_downloads", "0", False),
        ("home", "~/data", Path.home() / "data"),
        ("user_header", " X-User ", "X-User"),
        ("cuda_visible_devices", "0,1", "0,1"),
    ],
)
def test_setting_is_read_on_access(name: str, text: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable(name), text)
    assert getattr(settings, name) == value
    check()
    monkeypatch.delenv(variable(name))
    assert getattr(settings, name) == Settings.model_fields[name].default


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("workers", "many", "a whole number from 1 to 10,000"),
        ("workers", "0", "a whole number from 1 to 10,000"),
        ("gpus", "-1", "a whole number from 0 to 10,000"),
        ("kept_bytes", "1.5", "a whole number from 0"),
        ("run_hours", "-1", "a number above 0 and below 1,000,000,000"),
        ("run_hours", "nan", "a number above 0 and below 1,000,000,000"),
        ("cents_per_kwh", "inf", "a number from 0 and below 1,000,000,000"),
        ("allow_code", "true", "0 or 1"),
        ("country", "Germany", "three capital letters"),
    ],
)
def test_invalid_value_is_refused_with_a_message(
    name: str, text: str, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable(name), text)
    sentence = f"The environment variable {variable(name)} takes {allowed}, received {text!r}; change or unset it."
    for read in (lambda: getattr(settings, name), check):
        with pytest.raises(SettingError) as refused:
            read()
        assert str(refused.value) == sentence


def test_unknown_setting_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="There is no setting 'wrokers'"):
        settings.wrokers  # type: ignore[attr-defined]  # noqa: B018


def test_no_other_module_reads_environment_variables() -> None:
    violations = complaints(modules() - {GUARD, COPIED} | SCRIPTS, environment_reads)
    assert not violations, "Declare these in netloom.core.settings:\n" + "\n".join(violations)


def environment_reads(source: str) -> list[str]:
    """The expressions that read a single environment variable; passing on the whole environment is allowed."""
    expressions: list[str] = []
    if "environ" not in source and "getenv" not in source:
        return expressions
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            expressions += [ast.unparse(node)] if ast.unparse(node.value) in ("os.environ", "environ") else []
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.environ.get", "environ.get", "os.getenv"):
            expressions.append(ast.unparse(node))
    return expressions


def test_check_detects_every_environment_read() -> None:
    text = "os.environ['A']\nos.environ.get('B')\nos.getenv('C')\nos.environ['D'] = '1'\n{**os.environ}"
    assert environment_reads(text) == ["os.environ['A']", "os.environ.get('B')", "os.getenv('C')"]
