"""How inputs of an imported network are prepared: as its file says, as a person says, or as most networks expect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from netloom.compile.importers.imported_model import Imported, Unreadable
from netloom.data.preparation.default_preprocessing import told
from netloom.document import Moments, Preparation
from netloom.layers.io import Input

_UNSAID = (
    " The file does not define the preprocessing: choose another one (--prepare, or the Train page) if the network "
    "was trained with another."
)
_BYTE = 1 / 255
_MAX_BYTES = 20 * 2**20


def stated(found: Imported, wanted: Preparation | None = None) -> Imported:
    """The import with the preparation of its inputs in the document, and there alone, and first among its remarks.

    Where neither `wanted` nor the file says one, pixels are fed from 0 to 1 and numbers as they are.
    """
    nodes = [node for node in found.project.main_network.nodes.values() if node.type == "Input"]
    kinds = {str(node.params.get("kind", Input.model_fields["kind"].default)) for node in nodes}
    choice = wanted or found.prepare or ("scale" if kinds & {"image", "volume"} else "none")
    sentence = told(choice, kinds)
    if not sentence:
        return replace(found, prepare=None)
    why = "" if wanted else " From the file." if found.prepare else _UNSAID
    data = found.project.data.model_copy(update={"prepare": choice})
    project = found.project.model_copy(update={"data": data})
    return replace(found, project=project, remarks=(f"{sentence}{why}", *found.remarks), prepare=None)


def of_processor(config: Mapping[str, Any]) -> Preparation | Moments:
    """What a preprocessor_config.json of Hugging Face's libraries has done to pictures.

    https://huggingface.co/docs/transformers/main_classes/image_processor

    Raises:
        Unreadable: a setting is not what such a file holds.
    """
    rescale = config.get("rescale_factor", _BYTE) if config.get("do_rescale", True) else 1.0
    if config.get("do_normalize", True) and "image_mean" in config:
        given = {"rescale": rescale, "mean": config["image_mean"], "std": config.get("image_std")}
    elif rescale == 1.0:
        return "none"
    elif abs(float(rescale) - _BYTE) < 1e-9:
        return "scale"
    else:
        given = {"rescale": rescale}
    return _moments(given, "preprocessor_config.json")


def of_export(text: str | bytes) -> Preparation | Moments | None:
    """What the preprocessing says that Netloom writes into the files it exports; None where it is not one of those."""
    try:
        value = json.loads(text) if len(text) <= _MAX_BYTES else {}
        fields, target = value["fields"], value["target"]
        encodings = {field["encoding"] for field in fields}
        if not encodings & {"image", "table", "series", "log_mel"}:
            return None
        plain = target.get("std", [1.0]) == [1.0] * len(target.get("std", [1.0]))
        if encodings - {"image"} or not plain or len({json.dumps(_own(field)) for field in fields}) > 1:
            return "none" if plain and all(_untouched(field) for field in fields) else "standardize"
        if fields[0]["scale"] == 1 and _untouched(fields[0]):
            return "none"
        return _moments(_own(fields[0]), "the file")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, Unreadable):
        return None


def _own(field: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of a field of pictures: mean and deviation are of pixels from 0 to 1, whatever theirs went to."""
    return {
        "rescale": _BYTE,
        "mean": _flat(field["mean"]),
        "std": _flat(field["std"]),
    }


def _untouched(field: Mapping[str, Any]) -> bool:
    parts = field.get("columns", [field])
    return all(
        set(_flat(part.get("mean", 0.0))) == {0.0} and set(_flat(part.get("std", 1.0))) == {1.0} for part in parts
    )


def _flat(value: Any) -> list[float]:
    return [number for part in value for number in _flat(part)] if isinstance(value, list) else [float(value)]


def _moments(given: Mapping[str, Any], where: str) -> Moments:
    listed = {key: value if isinstance(value, list) or key == "rescale" else [value] for key, value in given.items()}
    try:
        return Moments.model_validate_json(json.dumps(listed, allow_nan=False))
    except (ValidationError, ValueError, TypeError):
        raise Unreadable(
            f"{where} must contain a number or a list of numbers for image_mean and image_std, and a number for "
            "rescale_factor."
        ) from None
