"""Every rule fires on a document with its mistake and not on the same document without it; every fix works."""

from __future__ import annotations

import re
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from netloom.data import FieldSpec, Schema
from netloom.document import Project, apply
from netloom.layers import Call, Layer, TensorSpec
from netloom.validation import Issue, analyze, validate
from netloom.validation import rules as validation_rules
from netloom.validation.measure import measure
from netloom.validation.rule import rules, rules_of_every_network
from tests.networks import IMAGE, TOKENS, chain, project
from tests.validation.documents import CASES, IMAGES, TALES, TEXTS, Case, digits, linear, loose

MESSAGES = Path(__file__).with_name("messages.txt")
# The minimum number of fixes that the documents with mistakes are offered.
FIXES = 40


def expected_issues(case: Case) -> list[Issue]:
    """The issues with the code and node of the case."""
    issues = validate(case.wrong, case.schema)
    return [issue for issue in issues if (issue.code, issue.node) == (case.code, case.node)]


@pytest.mark.parametrize("name", CASES)
def test_mistake_raises_one_issue_at_its_node(name: str) -> None:
    case = CASES[name]
    issues = expected_issues(case)
    assert len(issues) == 1, [issue.message for issue in validate(case.wrong, case.schema)]
    assert issues[0].message.endswith(".")


@pytest.mark.parametrize("name", CASES)
def test_correct_document_does_not_raise_the_issue(name: str) -> None:
    case = CASES[name]
    assert case.code not in {issue.code for issue in validate(case.right, case.schema)}
    assert not analyze(case.right, case.schema).errors


def test_every_fix_removes_its_issue() -> None:
    fixes = 0
    for name, case in CASES.items():
        for issue in validate(case.wrong, case.schema):
            if issue.fix is None:
                continue
            fixes += 1
            after = validate(apply(case.wrong, issue.fix.edit), case.schema)
            assert issue.message not in [remaining.message for remaining in after], name
            assert issue.fix.title, name
    assert fixes > FIXES


def test_repeated_fixes_terminate() -> None:
    for name, case in CASES.items():
        document = case.wrong
        for _ in range(6):
            issue = next((issue for issue in validate(document, case.schema) if issue.fix), None)
            if issue is None or issue.fix is None:
                break
            document = apply(document, issue.fix.edit)
        assert not [issue.message for issue in validate(document, case.schema) if issue.fix], name


def test_width_and_kind_fixes_remove_all_errors() -> None:
    for name in ("image for classes", "width without a linear", "tokens to linear", "branches of two widths", "heads"):
        case, document = CASES[name], CASES[name].wrong
        while fix := next((issue.fix for issue in analyze(document, case.schema).errors if issue.fix), None):
            document = apply(document, fix.edit)
        assert not analyze(document, case.schema).errors, name


def test_every_rule_has_a_case() -> None:
    fired: set[str] = set()
    analyses = [analyze(case.wrong, case.schema) for case in CASES.values()]
    for rule in rules():
        codes = {issue.code for analysis in analyses for issue in rule.check(analysis.context, analysis.totals)}
        assert codes, f"{type(rule).__name__} never fires"
        fired |= codes
    assert {case.code for case in CASES.values()} == fired


class Mixing(Layer):
    """A layer outside the catalog that flattens all examples of a batch into one row."""

    def build(self, specs: object) -> Call:
        return Call("nn.Flatten", (0,))


def test_layer_that_mixes_the_batch_is_refused() -> None:
    result = measure(Mixing(), (("in", TensorSpec((None, 4))),))
    assert result.code == "batch_axis"
    assert result.refusal == "it mixes the examples of a batch: 2 examples give (8,), 3 examples give (12,)"


def test_validation_reports_all_issues_at_once() -> None:
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": IMAGE,
        "linear_1": ("Linear", {"units": -1}),
        "conv2d_1": ("Conv2d", {"kernel_size": 40}),
        "relu_1": ("ReLU", {}),
        "tanh_1": ("Tanh", {}),
        "gelu_1": ("GELU", {}),
        "quantum_1": ("Quantum", {}),
        "embedding_1": ("Embedding", {}),
    }
    edges = [("input_1", "conv2d_1"), ("input_1", "embedding_1"), ("relu_1", "tanh_1"), ("tanh_1", "relu_1")]
    document = project(nodes, edges)
    codes = {issue.code for issue in validate(document)}
    assert {"parameter", "shape", "cycle", "unknown_layer", "port_kind", "missing_input", "no_output"} <= codes


def test_errors_come_before_warnings() -> None:
    document = loose({"relu_1": ("ReLU", {}), "tanh_1": ("Tanh", {})}, [("linear_1", "relu_1")])
    assert [issue.severity for issue in validate(document)] == ["error", "warning"]


def test_cycle_message_names_its_path() -> None:
    message = expected_issues(CASES["cycle"])[0].message
    assert "GELU (gelu_1) → ReLU (relu_1) → Tanh (tanh_1) → GELU (gelu_1)" in message


def test_long_cycle_is_abbreviated_and_detected_within_a_second() -> None:
    names = [f"a_{number}" for number in range(1, 1_991)]
    cycle_nodes: dict[str, tuple[str, dict[str, Any]]] = {name: ("ReLU", {}) for name in names}
    document = loose(cycle_nodes, [*pairwise(names), (names[-1], names[0])])
    start = time.process_time()
    message = next(issue.message for issue in validate(document) if issue.code == "cycle")
    assert time.process_time() - start < 1
    assert message.endswith("ReLU (a_19) → 1971 more → ReLU (a_1). Remove one of the edges.")


def test_two_cycles_raise_two_issues() -> None:
    cycle_nodes: dict[str, tuple[str, dict[str, Any]]] = {name: ("ReLU", {}) for name in ("a_1", "a_2", "b_1", "b_2")}
    edges = [("a_1", "a_2"), ("a_2", "a_1"), ("b_1", "b_2"), ("b_2", "b_1")]
    assert sum(issue.code == "cycle" for issue in validate(loose(cycle_nodes, edges))) == 2


def test_self_loop_raises_one_issue() -> None:
    issues = validate(CASES["self loop"].wrong)
    assert [issue.code for issue in issues] == ["cycle"]


@pytest.mark.parametrize("name", CASES)
def test_messages_are_one_line_without_technical_terms(name: str) -> None:
    case = CASES[name]
    for issue in validate(case.wrong, case.schema):
        assert "\n" not in issue.message
        assert len(issue.message) < 500
        for word in ("Traceback", "Error", "torch.Size", "RuntimeError", "None", "aten", "meta"):
            assert word not in issue.message, issue.message


def test_messages_use_node_titles() -> None:
    document = apply(CASES["filter too large"].wrong, {"kind": "update", "node": "conv2d_1", "title": "First look"})
    assert any(issue.message.startswith("First look cannot process (N, 1, 8, 8)") for issue in validate(document))


def test_issue_json_has_the_fields_of_the_canvas() -> None:
    value: dict[str, Any] = expected_issues(CASES["heads"])[0].as_json()
    assert set(value) == {"code", "severity", "message", "network", "node", "port", "fix"}
    assert value["fix"]["edit"] == {
        "kind": "set",
        "network": "main",
        "node": "multiheadattention_1",
        "params": {"heads": 2},
    }


@pytest.mark.parametrize(
    ("document", "schema"),
    [
        (digits(("Conv2d", {}), ("ReLU", {}), ("MaxPool2d", {})), IMAGES),
        (chain(TOKENS, ("Embedding", {"vocabulary": 50}), ("LSTM", {}), ("Mean", {}), linear(2)), TEXTS),
        (
            chain(
                TOKENS,
                ("Embedding", {"vocabulary": 50, "dim": 16}),
                ("PositionalEmbedding", {}),
                ("TransformerEncoderBlock", {"causal": True}),
                linear(50),
                training=CASES["width of tokens"].right.training,
            ),
            TALES,
        ),
    ],
)
def test_valid_documents_have_no_issues(document: Project, schema: object) -> None:
    assert validate(document, schema) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(("vocabulary", "message"), [(80, "80"), (1_234, "1,234")])
def test_message_names_both_vocabulary_sizes(vocabulary: int, message: str) -> None:
    data = Schema((FieldSpec("text", "tokens", (12,), vocabulary),), TEXTS.target, 90)
    document = chain(TOKENS, ("Embedding", {"vocabulary": vocabulary}), ("Flatten", {}), linear(2))
    (issue,) = [issue for issue in validate(document, data) if issue.code == "field"]
    assert issue.message.endswith(
        "is declared as tokens (N, 12) with a vocabulary of 50, but the field text of the data is tokens (N, 12) with "
        f"a vocabulary of {message}."
    )


def test_specs_of_equal_shape_are_distinguished_by_dtype() -> None:
    float_spec, int_spec = TensorSpec((None, 12)), TensorSpec((None, 12), "int")
    assert (float_spec.beside(int_spec), int_spec.beside(float_spec)) == (
        "(N, 12) of real numbers",
        "(N, 12) of whole numbers",
    )
    assert float_spec.beside(TensorSpec((None, 3), "int")) == float_spec.beside(float_spec) == "(N, 12)"


def test_messages_match_the_golden_file() -> None:
    """To update messages.txt, delete it, run this test again and review the diff."""
    lines = []
    for name, case in CASES.items():
        lines.append(f"# {name}")
        for issue in validate(case.wrong, case.schema):
            fix = f" [{issue.fix.title}]" if issue.fix else ""
            lines.append(f"{issue.severity} {issue.code} {issue.node or '-'}: {issue.message}{fix}")
        lines.append("")
    text = re.sub(r"this machine has [\d.,]+ GiB", "this machine has … GiB", "\n".join(lines))
    if not MESSAGES.exists():
        MESSAGES.write_text(text, encoding="utf-8")
        pytest.fail("messages.txt was not there and has been written; read it and run again")
    assert text == MESSAGES.read_text(encoding="utf-8")


def test_all_rules_are_discovered_with_network_rules_first() -> None:
    names = [type(rule).__name__ for rule in rules()]
    assert names[0] == "KnownLayer"
    assert names.index("Problems") < names.index("Outputs")  # a wrong width may result from incompatible data
    assert rules()[: len(rules_of_every_network())] == rules_of_every_network()
    modules = [*Path(validation_rules.__file__).parent.glob("[a-z]*.py")]
    declared = sum(path.read_text().count("(Rule):") for path in modules)
    assert declared == len(names)
