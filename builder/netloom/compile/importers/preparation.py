"""The preparation of an imported network's inputs: requested by the user, defined by the file, or the usual one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from netloom.compile.importers.imported_model import ImportedModel, UnreadableModelError
from netloom.data.preparation.default_preprocessing import preparation_sentence
from netloom.document import ImageNormalization, Preparation
from netloom.layers.io import Input
from netloom.modalities.field_spec import PIXELS, QUANTITIES

_UNSAID = (
    " The file does not define the preprocessing: choose another one (--prepare, or the Train page) if the network "
    "was trained with another."
)
_BYTE = 1 / 255
_MAX_BYTES = 20 * 2**20


def with_preparation(imported: ImportedModel, requested: Preparation | None = None) -> ImportedModel:
    """The import with the preparation of its inputs in the document only, and as the first of its remarks.

    Without `requested` and without one in the file, pixels are scaled to 0 … 1 and other numbers stay unchanged.
    """
    nodes = [node for node in imported.project.main_network.nodes.values() if node.type == "Input"]
    kinds = {str(node.params.get("kind", Input.model_fields["kind"].default)) for node in nodes}
    quantities = {QUANTITIES[kind] for kind in kinds if kind in QUANTITIES}
    choice = requested or imported.prepare or ("scale" if PIXELS in quantities else "none")
    sentence = preparation_sentence(choice, quantities)
    if not sentence:
        return replace(imported, prepare=None)
    source = "" if requested else " From the file." if imported.prepare else _UNSAID
    data = imported.project.data.model_copy(update={"prepare": choice})
    project = imported.project.model_copy(update={"data": data})
    return replace(imported, project=project, remarks=(f"{sentence}{source}", *imported.remarks), prepare=None)


def parse_image_processor(config: Mapping[str, Any]) -> Preparation | ImageNormalization:
    """The preparation of images in a preprocessor_config.json of Hugging Face's libraries.

    https://huggingface.co/docs/transformers/main_classes/image_processor

    Raises:
        UnreadableModelError: A setting has the wrong type.
    """
    rescale = config.get("rescale_factor", _BYTE) if config.get("do_rescale", True) else 1.0
    if config.get("do_normalize", True) and "image_mean" in config:
        moments = {"rescale": rescale, "mean": config["image_mean"], "std": config.get("image_std")}
    elif rescale == 1.0:
        return "none"
    elif abs(float(rescale) - _BYTE) < 1e-9:
        return "scale"
    else:
        moments = {"rescale": rescale}
    return _moments(moments, "preprocessor_config.json")


def parse_exported_preprocessing(text: str | bytes) -> Preparation | ImageNormalization | None:
    """The preparation in the preprocessing that Netloom writes into exported files; None if `text` is not such JSON."""
    try:
        value = json.loads(text) if len(text) <= _MAX_BYTES else {}
        fields, target = value["fields"], value["target"]
        encodings = {field["encoding"] for field in fields}
        if not encodings & {"image", "table", "series", "log_mel"}:
            return None
        plain = target.get("std", [1.0]) == [1.0] * len(target.get("std", [1.0]))
        if encodings - {"image"} or not plain or len({json.dumps(_pixel_moments(field)) for field in fields}) > 1:
            return "none" if plain and all(_is_identity(field) for field in fields) else "standardize"
        if fields[0]["scale"] == 1 and _is_identity(fields[0]):
            return "none"
        return _moments(_pixel_moments(fields[0]), "the file")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UnreadableModelError):
        return None


def _pixel_moments(field: Mapping[str, Any]) -> dict[str, Any]:
    """The normalization of an image field. Mean and standard deviation refer to pixels scaled to 0 … 1, regardless of
    the range of the stored pixels."""
    return {
        "rescale": _BYTE,
        "mean": _flat(field["mean"]),
        "std": _flat(field["std"]),
    }


def _is_identity(field: Mapping[str, Any]) -> bool:
    parts = field.get("columns", [field])
    return all(
        set(_flat(part.get("mean", 0.0))) == {0.0} and set(_flat(part.get("std", 1.0))) == {1.0} for part in parts
    )


def _flat(value: Any) -> list[float]:
    return [number for part in value for number in _flat(part)] if isinstance(value, list) else [float(value)]


def _moments(moments: Mapping[str, Any], where: str) -> ImageNormalization:
    as_lists = {
        key: value if isinstance(value, list) or key == "rescale" else [value] for key, value in moments.items()
    }
    try:
        return ImageNormalization.model_validate_json(json.dumps(as_lists, allow_nan=False))
    except (ValidationError, ValueError, TypeError):
        raise UnreadableModelError(
            f"{where} must contain a number or a list of numbers for image_mean and image_std, and a number for "
            "rescale_factor."
        ) from None
