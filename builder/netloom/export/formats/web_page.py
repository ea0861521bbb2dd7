"""A static web page that runs the network in the browser by ONNX Runtime, in one zip."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from html import escape
from typing import Any

from netloom.core.text import plain
from netloom.export.archive import as_json, preprocess, rows, source_text
from netloom.export.format import Batch, ExportError, Format, Trained
from netloom.export.formats.onnx import Onnx
from netloom.export.predictions import describe
from netloom.export.zip_files import pack

# The version whose files the page loads from node_modules; the tests run it
RUNTIME = "1.30.0"
FILES = ("decode.js", "encode.js", "model.js", "page.js", "style.css")
# What encode.js and decode.js translate from Python; a test compares both
ENCODINGS, COLUMNS, DECODINGS = (
    ("image", "table", "series", "words", "letters", "characters", "bpe"),
    ("number", "category"),
    ("class", "binary", "labels", "number", "mask", "tags", "class_and_tags", "action", "embedding", "pair", "several",
     "next_token"),
)  # fmt: skip
# Why predictions of other kinds are not decoded in a browser
_NOT_DECODED = {
    "input": "reconstructions of the input",
    "generated": "generated examples, which have no input",
    "sequence": "texts that are generated token by token",
    "score": "rankings of items",
}
# Parts of the state of a column that encode.js does not translate
_UNTRANSLATED = {"quantiles": "quantiles", "part": "parts of dates", "logical": "categories of yes and no"}
PACKAGE = {"private": True, "dependencies": {"onnxruntime-web": RUNTIME}}


class WebPage(Format):
    """A page with an input for each field, which needs a static web server alone."""

    name = "web"
    title = "Web page"
    summary = (
        "A page that runs the network in the browser, for images, tables, series and texts; served by any static server"
    )
    suffix = ".web.zip"
    media_type = "application/zip"
    tolerance = Onnx.tolerance
    is_folder = True
    is_universal = False

    def content(self, trained: Trained) -> bytes:
        preprocessing = preprocess(trained)
        if reasons := dict.fromkeys(_untranslated(preprocessing)):
            raise ExportError(
                f"The web page does not support {', '.join(reasons)}; export the production folder or ONNX instead."
            )
        (example,) = rows(trained, 1)
        title = escape(plain(trained.project.name)) or "A network"
        sentence = escape(describe(trained.decoding, trained.data))
        page = source_text("netloom.export.web", "index.html")
        members = {
            **{name: source_text("netloom.export.web", name).encode() for name in FILES},
            "index.html": page.replace("{title}", title).replace("{sentence}", sentence).encode(),
            "README.md": README.format(title=title, runtime=RUNTIME).encode(),
            "example.json": as_json(example),
            "model.onnx": Onnx().content(trained),
            "package.json": as_json(PACKAGE),
            "preprocess.json": as_json(preprocessing),
        }
        return pack(dict(sorted(members.items())))

    def answers(self, content: bytes, batches: list[Batch]) -> list[Batch]:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return Onnx().answers(archive.read("model.onnx"), batches)


def _untranslated(preprocessing: dict[str, Any]) -> Iterator[str]:
    """Yield the parts of the preprocessing and the decoding that the page does not have, in words."""
    for field in preprocessing["fields"]:
        if field["encoding"] not in ENCODINGS:
            yield f"the field {plain(field['name'])[:60]!r}, whose encoding is {plain(field['encoding'])}"
            continue
        for column in field.get("columns", ()):
            if column["type"] not in COLUMNS:
                yield f"the column {plain(column['name'])[:60]!r}"
            yield from (text for key, text in _UNTRANSLATED.items() if column.get(key))
    target = preprocessing["target"]
    for part in target.get("parts", (target,)):
        if part["kind"] not in DECODINGS:
            yield _NOT_DECODED.get(part["kind"], f"predictions of the kind {plain(part['kind'])}")
        if "calibration" in part:
            yield "calibrated predictions"


README = """\
# {title}

A page that runs a neural network in the browser. It was made with Netloom, and needs neither Netloom nor a model
server: the input stays in the browser. Install ONNX Runtime for browsers once, and serve this folder:

    npm install --ignore-scripts     # onnxruntime-web {runtime} into node_modules
    python -m http.server 8000 --bind 127.0.0.1

Then open http://127.0.0.1:8000. To publish the page, copy the folder to any static web server. The page loads
three files from `node_modules/onnxruntime-web/dist` (14 MB in total, 4 MB compressed) and nothing from other hosts:
`ort.wasm.min.mjs`, `ort-wasm-simd-threaded.mjs` and `ort-wasm-simd-threaded.wasm`.

In code of your own:

    import {{ load }} from "./model.js";
    const model = await load();
    console.log((await model.predict(model.example)).answer);

| file | what it is |
|---|---|
| `index.html`, `page.js`, `style.css` | the page |
| `model.js` | loads the network, and predicts rows |
| `encode.js`, `preprocess.json` | from rows to tensors, with what was fitted on the training data |
| `decode.js` | from outputs of the network to predictions |
| `model.onnx` | the network |
| `example.json` | a row that the network was not trained on |
| `package.json` | the version of ONNX Runtime |
"""
