"""Predict with a network that was trained in Netloom: python predict.py [FILE]

FILE is JSON (one row, a list of rows, or a row a line) or CSV (a header, then one row a line), with the columns that
example.json shows; without FILE, example.json itself is read. Prints JSON: an answer for each row, which says under
"unknown" which categories training did not have, and under "unreadable" which cells are taken as missing because they
cannot be read. Needs torch, safetensors and numpy.
"""

import json
import sys
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from encode import PAD, EncodeError, encode_rows, last_places, restore_rows, spans, write, written  # type: ignore[import-not-found]
from model import Main  # type: ignore[import-not-found]
from probability import logits  # type: ignore[import-not-found]
from row_file import FileError, read_rows, reported, summary, unknown_categories  # type: ignore[import-not-found]
from safetensors.torch import load_file

HERE = Path(__file__).resolve().parent
BATCH = 512
LIKELIEST = 5


def load(folder: Path = HERE) -> tuple[torch.nn.Module, dict[str, Any]]:
    """The network with its trained weights, and the preprocessing that was fitted on the training data."""
    network = Main()
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    preprocess: dict[str, Any] = json.loads((folder / "preprocess.json").read_text(encoding="utf-8"))
    return network.eval(), preprocess


def predict(network: torch.nn.Module, preprocess: dict[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """An answer for each raw row."""
    answers: list[dict[str, Any]] = []
    for start in range(0, len(rows), BATCH):
        arrays = encode_rows(preprocess, rows[start : start + BATCH])
        if preprocess["target"]["kind"] == "sequence":
            answers += [{"prediction": text} for text in texts(network, preprocess, arrays)]
            continue
        output = outputs(network, preprocess, arrays)
        if preprocess["target"]["kind"] == "generated":
            made = restore_rows(preprocess["target"]["field"], output.numpy())
            answers += [{"prediction": one} for one in made]
            continue
        if preprocess["target"]["kind"] == "action":
            answers += actions(preprocess, output[0] if isinstance(output, tuple) else output)
            continue
        if preprocess["target"]["kind"] == "class_and_tags":
            classes, tags = output
            answers += both(preprocess, classes, tags, arrays)
            continue
        if preprocess["target"]["kind"] == "several":
            answers += several(preprocess, output if isinstance(output, tuple) else (output,), arrays)
            continue
        if preprocess["target"]["kind"] == "pair":
            answers += pairs(preprocess, *output)
            continue
        if preprocess["target"]["kind"] == "next_token":
            places = last_places(arrays[preprocess["arguments"][0]])
            output = output[torch.arange(len(output)), torch.from_numpy(places)].unsqueeze(1)
        answers += decode(preprocess, output, arrays)
    return reported(answers, unknown=unknown_categories(preprocess, rows))  # type: ignore[no-any-return]


def outputs(network: torch.nn.Module, preprocess: dict[str, Any], arrays: dict[str, Any]) -> Any:
    """What the network gives, a tensor or several, as logits where it tells classes: it may end in a softmax."""
    with torch.no_grad():
        output = network(*[torch.from_numpy(arrays[name]) for name in preprocess["arguments"]])
    known = preprocess.get("scales") or [None]
    if not isinstance(output, tuple):
        return logits(output, *known[0]) if known[0] else output
    return tuple(logits(one, *how) if how else one for one, how in zip_longest(output, known))


def texts(network: torch.nn.Module, preprocess: dict[str, Any], arrays: dict[str, Any]) -> list[str]:
    """The answers that a network writes, each token the likeliest after those that it has written before."""
    begun = preprocess["fields"][-1]

    def scores(so_far: Any) -> Any:
        given = {**arrays, begun["name"]: so_far.copy()}
        return outputs(network, preprocess, given).numpy()

    tokens = write(begun["length"], len(arrays[begun["name"]]), scores)
    return [written(begun, line) for line in tokens.tolist()]


def decode(preprocess: dict[str, Any], output: torch.Tensor, arrays: dict[str, Any]) -> list[dict[str, Any]]:
    """What the network's output (N, …) to these arrays says, in words and numbers."""
    target = preprocess["target"]
    if target["kind"] == "input":
        return rebuilt(preprocess, output, arrays)
    if target["kind"] in ("mask", "tags"):
        return [labelled(preprocess, row, place, arrays) for place, row in enumerate(output)]
    if target["kind"] in ("embedding", "score"):
        return [{"prediction": row if target["kind"] == "embedding" else row[0]} for row in output.tolist()]
    if target["kind"] in ("binary", "labels"):
        return labels(target, output)
    if target["kind"] == "number":
        values = (output * torch.tensor(target["std"]) + torch.tensor(target["mean"])).tolist()
        return [{"prediction": row[0] if len(row) == 1 else row} for row in values]
    if target["kind"] == "class":
        names, shares = target["classes"], output.softmax(1)
        likeliest = [list(range(len(names)))] * len(shares)
    else:
        names, shares = preprocess["fields"][0]["vocabulary"], output[:, -1].softmax(1)
        likeliest = shares.topk(min(LIKELIEST, shares.shape[1])).indices.tolist()
    return [
        {
            "prediction": names[int(row.argmax())],
            "probabilities": {names[place]: float(row[place]) for place in places},
        }
        for row, places in zip(shares, likeliest, strict=True)
    ]


def labels(target: dict[str, Any], output: torch.Tensor) -> list[dict[str, Any]]:
    """Which labels apply, from a logit for each (N, labels); of two classes, whether it is the second one, (N, 1)."""
    names, shares = target["classes"], output.sigmoid()
    if target["kind"] == "binary":
        limit = target["threshold"]
        return [
            {
                "prediction": names[int(share > limit)],
                "probabilities": {names[0]: 1 - share, names[1]: share},
                "threshold": limit,
            }
            for share in shares[:, 0].tolist()
        ]
    limits = target["thresholds"]
    return [
        {
            "prediction": [name for name, share, limit in zip(names, row, limits, strict=True) if share > limit],
            "probabilities": dict(zip(names, row, strict=True)),
        }
        for row in shares.tolist()
    ]


def pairs(preprocess: dict[str, Any], one: torch.Tensor, other: torch.Tensor) -> list[dict[str, Any]]:
    """Whether two examples are alike, by how far apart their embeddings (N, D) lie."""
    names, limit = preprocess["target"]["classes"], preprocess["target"]["threshold"]
    apart = (one - other).square().sum(1).clamp(min=1e-12).sqrt().tolist()
    return [{"prediction": names[int(far < limit)], "distance": far, "threshold": limit} for far in apart]


def several(
    preprocess: dict[str, Any], outputs: tuple[torch.Tensor, ...], arrays: dict[str, Any]
) -> list[dict[str, Any]]:
    """What a network says that has an output for each of several targets."""
    parts = preprocess["target"]["parts"]
    each = [decode({**preprocess, "target": part}, found, arrays) for part, found in zip(parts, outputs, strict=True)]
    names = [part["name"] for part in parts]
    return [
        {
            "prediction": {name: one["prediction"] for name, one in zip(names, row, strict=True)},
            "outputs": dict(zip(names, row, strict=True)),
        }
        for row in zip(*each, strict=True)
    ]


def rebuilt(preprocess: dict[str, Any], output: torch.Tensor, arrays: dict[str, Any]) -> list[dict[str, Any]]:
    """What a network that gives back its input says: the rows as it gives them back, or whether they are unusual."""
    field, target = preprocess["fields"][0], preprocess["target"]
    errors = (output - torch.from_numpy(arrays[field["name"]])).square().flatten(1).mean(1).tolist()
    if "threshold" in target:
        known = target["threshold"]
        words = ["unusual" if error > known else "usual" for error in errors]
        return [
            {"prediction": word, "error": error, "threshold": known} for word, error in zip(words, errors, strict=True)
        ]
    values = restore_rows(field, output.numpy())
    return [{"prediction": value, "error": error} for value, error in zip(values, errors, strict=True)]


def actions(preprocess: dict[str, Any], scores: torch.Tensor) -> list[dict[str, Any]]:
    """The action that an agent takes, with the return that it expects of each, or the probability of each."""
    target = preprocess["target"]
    told, numbers = ("values", scores) if target["values"] else ("probabilities", scores.softmax(1))
    names = target["classes"]
    return [
        {"prediction": names[int(row.argmax())], told: dict(zip(names, row.tolist(), strict=True))} for row in numbers
    ]


def both(
    preprocess: dict[str, Any], classes: torch.Tensor, tags: torch.Tensor, arrays: dict[str, Any]
) -> list[dict[str, Any]]:
    """What a network says that gives a class (N, classes) and a tag for each word (N, T, tags)."""
    target = preprocess["target"]
    first = decode({**preprocess, "target": {**target, "kind": "class"}}, classes, arrays)
    second = decode({**preprocess, "target": {"kind": "tags", "classes": target["tags"]}}, tags, arrays)
    return [{**one, "tags": other["prediction"], "entities": other["entities"]} for one, other in zip(
        first, second, strict=True)]  # fmt: skip


def labelled(preprocess: dict[str, Any], output: torch.Tensor, row: int, arrays: dict[str, Any]) -> dict[str, Any]:
    """What a network says that gives each pixel (classes, H, W) or each word (T, tags) a class."""
    names = preprocess["target"]["classes"]
    if preprocess["target"]["kind"] == "mask":
        grid = output.argmax(0)
        shares = {name: float((grid == place).float().mean()) for place, name in enumerate(names)}
        return {"prediction": grid.tolist(), "classes": names, "shares": shares}
    length = int((arrays[preprocess["fields"][0]["name"]][row] != PAD).sum())
    tags = [names[number] for number in output.argmax(1)[:length].tolist()]
    entities = [{"first": first, "last": last, "kind": kind} for first, last, kind in spans(tags)]
    return {"prediction": tags, "entities": entities}


def read(path: Path, preprocess: dict[str, Any]) -> Any:
    """The rows of a JSON or CSV file, or the row of a JSON file that holds one by itself. In CSV, the cell of an image
    or a series holds a list, written as JSON."""
    found = read_rows(path.read_bytes(), path.name, preprocess)
    return found.rows[0] if found.one else found.rows


def main() -> int:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "example.json"
    try:
        network, preprocess = load()
        found = read_rows(path.read_bytes(), path.name, preprocess)
        answers = reported(predict(network, preprocess, found.rows), unreadable=found.unreadable)
    except (EncodeError, FileError, OSError, ValueError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    for remark in (*found.notes, *summary(answers)):
        print(remark, file=sys.stderr)
    print(json.dumps(answers[0] if found.one else answers, indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
