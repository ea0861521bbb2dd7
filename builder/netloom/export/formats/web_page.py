"""A static web page that runs the network in the browser by ONNX Runtime, in one zip."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from netloom.core.text import plain
from netloom.export import browser_runtime
from netloom.export.archive import as_json, preprocess, rows, source_text
from netloom.export.format import Batch, ExportError, Format, Trained
from netloom.export.formats.onnx import Onnx
from netloom.export.predictions import describe
from netloom.export.zip_files import pack

FILES = (
    "calibrated.js",
    "decode.js",
    "encode.js",
    "file_pixels.js",
    "model.js",
    "page.js",
    "probability.js",
    "style.css",
)
# What encode.js and decode.js translate from Python; a test compares both
ENCODINGS, COLUMNS, DECODINGS = (
    ("image", "table", "series", "words", "letters", "characters", "bpe"),
    ("number", "category"),
    ("class", "binary", "labels", "number", "mask", "boxes", "tags", "class_and_tags", "action", "embedding", "pair",
     "several", "next_token"),
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
PACKAGE = {"private": True, "dependencies": {browser_runtime.PACKAGE: browser_runtime.VERSION}}
# Where model.js looks for ONNX Runtime, in this order
INSTALLED, INCLUDED = f"node_modules/{browser_runtime.PACKAGE}/dist/", "runtime/"


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
    contains_onnx = True
    runtime = "ONNX Runtime"
    runtime_help = (
        "Any static web server can serve the zip as it is. Otherwise, npm installs ONNX Runtime where the page is "
        "served. The first time, npm downloads 33 MB to this machine."
    )

    def __init__(self, runtime_files: Mapping[str, bytes] | None = None) -> None:
        self._runtime_files = runtime_files or {}

    def with_runtime(self, home: Path) -> WebPage:
        return WebPage(browser_runtime.runtime_files(home))

    def runtime_unavailable_reason(self, home: Path) -> str:
        return browser_runtime.unavailable_reason(home)

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
            "README.md": self._readme(title).encode(),
            "example.json": as_json(example),
            "model.onnx": Onnx().content(trained),
            "preprocess.json": as_json(preprocessing),
            **self._runtime_members(),
        }
        return pack(dict(sorted(members.items())))

    def _runtime_members(self) -> dict[str, bytes]:
        """Return ONNX Runtime, or the file by which npm installs it, and the folders where the page looks for it."""
        # The first folder is where it is: a request for a missing file would be an error in the console.
        folders = [INCLUDED, INSTALLED] if self._runtime_files else [INSTALLED, INCLUDED]
        members = {"runtime.js": f"export const FOLDERS = {json.dumps(folders)};\n".encode()}
        if not self._runtime_files:
            return {**members, "package.json": as_json(PACKAGE)}
        return {**members, **{f"{INCLUDED}{name}": content for name, content in self._runtime_files.items()}}

    def _readme(self, title: str) -> str:
        start, files = (SERVE, INCLUDED_FILES) if self._runtime_files else (INSTALL, INSTALLED_FILES)
        version = browser_runtime.VERSION
        return README.format(title=title, start=start.format(runtime=version), files=files.format(runtime=version))

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


README = """\
# {title}

A page that runs a neural network in the browser. It was made with Netloom, and needs neither Netloom nor a model
server: the input stays in the browser. {start}
In code of your own:

    import {{ load }} from "./model.js";
    const model = await load();
    console.log((await model.predict(model.example)).answer);

| file | what it is |
|---|---|
| `index.html`, `page.js`, `style.css` | the page |
| `model.js` | loads the network, and predicts rows |
| `encode.js`, `file_pixels.js`, `preprocess.json` | from rows to tensors, with what was fitted on the training data |
| `decode.js`, `calibrated.js`, `probability.js` | from outputs of the network to predictions and their calibration |
| `model.onnx` | the network |
| `example.json` | a row that the network was not trained on |
{files}
"""
INSTALL = """Install ONNX Runtime for browsers once, and serve this folder:

    npm install --ignore-scripts     # onnxruntime-web {runtime} into node_modules
    python -m http.server 8000 --bind 127.0.0.1

Then open http://127.0.0.1:8000. To publish the page, copy the folder to any static web server. The page loads
three files from `node_modules/onnxruntime-web/dist` (14 MB in total, 4 MB compressed) and nothing from other hosts:
`ort.wasm.min.mjs`, `ort-wasm-simd-threaded.mjs` and `ort-wasm-simd-threaded.wasm`. They can also be in a folder
`runtime`.
"""
SERVE = """ONNX Runtime for browsers is included. Serve this folder:

    python -m http.server 8000 --bind 127.0.0.1

Then open http://127.0.0.1:8000. To publish the page, copy the folder to any static web server. The page loads nothing
from other hosts. A visitor loads 14 MB once, 4 MB if the server compresses them.
"""
INSTALLED_FILES = """\
| `runtime.js` | the folders in which `model.js` looks for ONNX Runtime |
| `package.json` | the version of ONNX Runtime |"""
INCLUDED_FILES = """\
| `runtime.js` | the folders in which `model.js` looks for ONNX Runtime |
| `runtime/` | onnxruntime-web {runtime}, copyright Microsoft Corporation, under the MIT License |"""
