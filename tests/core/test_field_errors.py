"""Every kind of pydantic error becomes a Netloom message, wherever users enter values."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from netloom.core.field_errors import FieldError, FieldValueError, field_errors, summary
from netloom.data.augmentation import augmentations
from netloom.data.builtin_registry import builtin
from netloom.data.settings.column_settings import FieldChoice
from netloom.document import DataChoice, DocumentError, EditError, Node, Note, Training, apply, blank, parse, updated
from netloom.explain.core.explainer import registry as explainers
from netloom.layers import ParameterError, registry
from netloom.layers import parse as parse_layer
from netloom.validation import analyze
from tests.networks import TABLE, chain

PYDANTIC_WORDS = ("input should", "extra inputs", "field required", "value error", "valid ", "pydantic", "function-")


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    rate: Annotated[float, Field(gt=0, lt=1)] = 0.5


class Sample(BaseModel):
    """A declaration with every kind of field."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    units: Annotated[int, Field(ge=1, le=1_000_000)]
    scale: Annotated[float, Field(gt=0, lt=2.5)] = 1.0
    even: Annotated[int, Field(multiple_of=2)] = 0
    bias: bool = True
    mode: Literal["zeros", "same"] = "zeros"
    title: Annotated[str, Field(min_length=1, max_length=5)] = "a"
    sizes: Annotated[tuple[int, ...], Field(strict=False, min_length=2, max_length=3)] = (1, 2)
    weights: Literal["balanced"] | Annotated[tuple[float, ...], Field(strict=False, min_length=2)] | None = None
    inner: Inner = Inner()
    several: dict[str, Inner] = {}
    choice: Literal["none"] | Inner = "none"

    @model_validator(mode="after")
    def _check(self) -> Sample:
        if self.units == 7:
            raise FieldValueError("units", "must not be 7", self.units)
        if self.units == 8:
            raise ValueError("eight is too many")
        return self


@pytest.mark.parametrize(
    ("values", "path", "sentence"),
    [
        ({}, ("units",), "units is required."),
        ({"units": "3"}, ("units",), "units must be a whole number, received '3'."),
        ({"units": 1.5}, ("units",), "units must be a whole number, received 1.5."),
        ({"units": None}, ("units",), "units must be a whole number, received nothing."),
        ({"units": 0}, ("units",), "units must be at least 1, received 0."),
        ({"units": 2_000_000}, ("units",), "units must be at most 1,000,000, received 2000000."),
        ({"scale": 0}, ("scale",), "scale must be greater than 0, received 0."),
        ({"scale": 2.5}, ("scale",), "scale must be less than 2.5, received 2.5."),
        ({"scale": float("inf")}, ("scale",), "scale must be a finite number, received Infinity."),
        ({"even": 3}, ("even",), "even must be a multiple of 2, received 3."),
        ({"bias": 1}, ("bias",), "bias must be true or false, received 1."),
        ({"mode": "zero"}, ("mode",), "mode must be 'zeros' or 'same', received 'zero'."),
        ({"title": ""}, ("title",), "title must not be empty."),
        ({"title": "abcdef"}, ("title",), "title must have at most 5 characters, received 6."),
        ({"title": 3}, ("title",), "title must be text, received 3."),
        ({"sizes": 3}, ("sizes",), "sizes must be a list, received 3."),
        ({"sizes": [3]}, ("sizes",), "sizes must have at least 2 entries, received 1."),
        ({"sizes": [3, 4, 5, 6]}, ("sizes",), "sizes must have at most 3 entries, received 4."),
        ({"sizes": [3, "x"]}, ("sizes", 1), "sizes.1 must be a whole number, received 'x'."),
        ({"weights": "equal"}, ("weights",), "weights must be 'balanced' or a list, received 'equal'."),
        ({"weights": [1.0]}, ("weights",), "weights must have at least 2 entries, received 1."),
        ({"weights": [1.0, "x"]}, ("weights", 1), "weights.1 must be a number, received 'x'."),
        ({"inner": 3}, ("inner",), "inner must be a JSON object, received 3."),
        ({"inner": {"rate": 2}}, ("inner", "rate"), "inner.rate must be less than 1, received 2."),
        ({"inner": {"rat": 1}}, ("inner", "rat"), "There is no field 'rat' in inner; did you mean 'rate'?"),
        ({"several": {"a": {"rat": 1}}}, ("several", "a", "rat"), "There is no field 'rat' in several.a; did you mean"),
        ({"choice": {"rate": 2}}, ("choice", "rate"), "choice.rate must be less than 1, received 2."),
        ({"choice": "all"}, ("choice",), "choice must be 'none' or a JSON object, received 'all'."),
        ({"unit": 3, "units": 3}, ("unit",), "There is no field 'unit' in Sample; did you mean 'units'?"),
        ({"units": 7}, ("units",), "units must not be 7, received 7."),
        ({"units": 8}, (), "eight is too many."),
    ],
)
def test_each_error_kind_has_a_path_and_sentence(
    values: dict[str, Any], path: tuple[str | int, ...], sentence: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Sample.model_validate({"units": 3, **values} if values else values)
    (error,) = field_errors(caught.value, Sample)
    assert error.path == path
    assert error.sentence().startswith(sentence)


def test_field_level_sentence_omits_the_field_name() -> None:
    assert FieldError(("units",), "must be at least 1", "0").at_field == "Must be at least 1, received 0."
    assert FieldError(("units",), "two is too few", kind="statement").at_field == "Two is too few."


def test_unknown_field_error_has_no_field() -> None:
    assert FieldError(("unit",), "There is no …", kind="unknown").field == ""


def test_summary_counts_omitted_errors() -> None:
    errors = [FieldError((name,), "is required") for name in "abcde"]
    assert summary(errors) == "a is required. b is required. c is required. There are 2 more errors."
    assert summary(errors[:4]).endswith("c is required. There is 1 more error.")


def test_error_of_a_whole_value_uses_its_name() -> None:
    with pytest.raises(ValidationError) as caught:
        Sample.model_validate(3)
    assert summary(field_errors(caught.value, Sample), "the layer") == "the layer must be a JSON object, received 3."


# Values of every type that JSON has, beyond the bounds of most fields.
WRONG_VALUES: tuple[Any, ...] = (None, True, -1, 1e300, 10**40, "", "x" * 100_000, [], [[]], ["x"] * 600, {}, {"x": {}})


def invalid_values(declaration: type[BaseModel]) -> Iterator[dict[str, Any]]:
    """Each field with each invalid value, and an unknown field."""
    yield {"surprise": 1}
    for name in declaration.model_fields:
        yield {f"{name}x": 1}
        for value in WRONG_VALUES:
            yield {name: value}


def has_no_pydantic_wording(message: str) -> bool:
    return not any(words in message.lower() for words in PYDANTIC_WORDS) and "\n" not in message


def errors_of(declaration: type[BaseModel], values: dict[str, Any]) -> tuple[FieldError, ...]:
    """The field errors of the given values; empty if they are valid."""
    try:
        declaration.model_validate(values)
    except ValidationError as error:
        return field_errors(error, declaration)
    return ()


@pytest.mark.parametrize("declaration", [Training, DataChoice, FieldChoice], ids=lambda kind: kind.__name__)
def test_settings_errors_have_no_pydantic_wording(declaration: type[BaseModel]) -> None:
    refused = 0
    for values in invalid_values(declaration):
        errors = errors_of(declaration, values)
        refused += bool(errors)
        assert all(has_no_pydantic_wording(error.sentence()) for error in errors), errors
        assert {error.path[:1] for error in errors} <= {(), *((name,) for name in values)}
    assert refused > len(declaration.model_fields)


@pytest.mark.parametrize("name", list(registry()))
def test_layer_errors_have_no_pydantic_wording(name: str) -> None:
    for params in invalid_values(registry()[name]):
        errors = errors_of(registry()[name], params)
        assert all(has_no_pydantic_wording(error.sentence()) for error in errors), errors


OTHERS = (*augmentations().values(), *builtin().values(), *explainers().values())


@pytest.mark.parametrize("declaration", OTHERS, ids=lambda kind: kind.__name__)
def test_other_declaration_errors_have_no_pydantic_wording(declaration: type[BaseModel]) -> None:
    for params in invalid_values(declaration):
        errors = errors_of(declaration, params)
        assert all(has_no_pydantic_wording(error.sentence()) for error in errors), errors


def test_unknown_layer_parameter_suggests_a_name() -> None:
    with pytest.raises(ParameterError) as caught:
        parse_layer(Node(id="linear_1", type="Linear", params={"unit": 3}))
    assert str(caught.value) == "There is no parameter 'unit' in Linear; did you mean 'units'?"


def test_all_invalid_parameters_are_listed_with_their_fields() -> None:
    project = chain(TABLE, ("Linear", {"units": 0, "bias": "no"}))
    issues = [issue for issue in analyze(project).issues if issue.code == "parameter"]
    assert [(issue.node, issue.field) for issue in issues] == [("linear_1", "units"), ("linear_1", "bias")]
    assert issues[0].message == "Linear (linear_1): units must be at least 1, received 0."


def test_document_error_has_its_path() -> None:
    document = blank("x").model_dump(mode="json")
    document["training"]["outputs"] = {"age": {"weigth": 2.0}}
    with pytest.raises(DocumentError) as caught:
        parse(document)
    (error,) = caught.value.errors
    assert error.path == ("training", "outputs", "age", "weigth")
    assert str(caught.value) == "There is no field 'weigth' in training.outputs.age; did you mean 'weight'?"


@pytest.mark.parametrize(
    ("edit", "path"),
    [
        ({"kind": "project", "training": {"batch_size": 0}}, ("training", "batch_size")),
        ({"kind": "project", "data": {"split": "half"}}, ("data", "split")),
        ({"kind": "note", "id": "note_1", "note": {"text": "a", "color": "pink"}}, ("color",)),
        ({"kind": "add", "nodes": [{"id": "a_1", "type": "ReLU", "titel": "x"}]}, ("titel",)),
        ({"kind": "add", "nodes": [], "edges": [{"source": "a", "target": "B"}]}, ("target",)),
        ({"kind": "create_network", "name": "block", "content": {"notes": {"a": 1}}}, ("notes", "a")),
    ],
)
def test_refused_edit_names_its_fields(edit: dict[str, Any], path: tuple[str, ...]) -> None:
    with pytest.raises(EditError) as caught:
        apply(blank("x"), edit)
    assert [error.path for error in caught.value.errors] == [path]
    assert str(caught.value).startswith("This edit is invalid: ")
    assert has_no_pydantic_wording(str(caught.value))


def test_document_part_is_updated() -> None:
    assert updated(Training(), {"epochs": 3}).epochs == 3
    with pytest.raises(EditError, match="There is no setting 'epoch' in the training settings; did you mean 'epochs'"):
        updated(Training(), {"epoch": 3}, "setting")


def test_field_errors_can_be_pickled() -> None:
    errors = (FieldError(("units",), "must be at least 1", "0"),)
    for error in (ParameterError(*errors), EditError("No.", errors), DocumentError("No.", errors)):
        restored = pickle.loads(pickle.dumps(error))
        assert (str(restored), restored.errors) == (str(error), errors)
        assert str(type(error)(str(error))) == str(error)  # as a job forwards the errors of its worker


def test_note_requires_text() -> None:
    with pytest.raises(ValidationError) as caught:
        Note.model_validate({})
    assert summary(field_errors(caught.value, Note)) == "text is required."
