"""The child's side of a confined process: `python -m netloom.sandbox.child` is the server that forks such processes.

With `--alone`, it is a single confined process. A process answers requests over its standard input, which is a socket.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import socket
import sys
import traceback
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

from netloom.core.progress import ProgressCallback
from netloom.core.text import size
from netloom.core.torch_internals import COMPILER
from netloom.runs.forkserver import disown, serve
from netloom.runs.resources.limits import loosen, no_memory
from netloom.sandbox import messages
from netloom.sandbox.isolation import isolate
from netloom.sandbox.process import MODELS

# PR_SET_PDEATHSIG: a process receives a signal when the server that forked it ends.
# https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
_PARENT_DEATH = 1
# Errors whose message is a sentence for people; the parent raises an error of the same class.
SENTENCES = (
    "UsageError",
    "DocumentError",
    "FetchError",
    "UnreadableModelError",
    "DataError",
    "StartError",
    "CompileError",
)
OUT_OF_MEMORY = (
    "Reading the file needs more than {limit} of memory; use a part of it, or raise NETLOOM_UPLOAD_MEMORY_GB."
)


def work() -> int:
    """Answer requests until the parent closes the connection. Returns the exit code."""
    disown()  # before anything is read: a file must not obtain further processes
    channel = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)  # a library that reads the standard input must not take messages from the channel
    first, _ = messages.receive(channel, most=None)
    os.environ.update(first["environment"])
    limit = int(first["memory"])
    isolate(limit)  # before the first request, and for good
    warnings.simplefilter("ignore")
    requests = RequestHandler(lambda share, step: messages.send(channel, {"progress": [share, step]}))
    while True:
        try:
            request, blobs = messages.receive(channel, most=None)
        except messages.ClosedError:
            return 0
        try:
            answer = {"value": requests.answer(request, blobs)}
        except Exception as error:
            answer = _refusal(error, limit)
        try:
            messages.send(channel, answer)
        except messages.ClosedError:
            return 0


def _refusal(error: Exception, limit: int) -> dict[str, Any]:
    """Return an error as an answer: a refusal with its sentence, or a fault with its traceback."""
    if no_memory(error):
        loosen()  # the answer needs memory, too
        return {"refusal": OUT_OF_MEMORY.format(limit=size(limit)), "kind": "DataError"}
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__name__ in SENTENCES]
    if kinds:
        return {"refusal": str(error), "kind": kinds[0]}
    if isinstance(error, OSError):
        return {"refusal": f"The file cannot be read: {error.strerror or type(error).__name__}.", "kind": "DataError"}
    return {"fault": "".join(traceback.format_exception(error))[-20_000:]}


class RequestHandler:
    """Answers requests about the files that are open."""

    def __init__(self, progress: ProgressCallback) -> None:
        self.progress = progress
        self._source: Any = None

    def answer(self, request: messages.Message, blobs: list[bytes]) -> Any:
        """Answer a request with the method that it names.

        Raises:
            DataError: the files cannot be read.
        """
        return getattr(self, f"answer_{request['do']}")(request, blobs)

    def answer_open(self, request: messages.Message, blobs: list[bytes]) -> Any:
        """Open an upload: a path, or bytes by file name. Later requests refer to it."""
        from netloom.data.uploads import open_source

        content = Path(request["path"]) if request["path"] else dict(zip(request["names"], blobs, strict=True))
        self._source = open_source(content, request["filename"])
        return {"filename": self._source.filename}

    def answer_kinds(self, request: messages.Message, blobs: list[bytes]) -> Any:
        """Return the names of the kinds of data that the upload can be, the most likely one first."""
        from netloom.data.uploads import fitting

        return [reader.name for reader in fitting(self._source)]

    def answer_reader(self, request: messages.Message, blobs: list[bytes]) -> Any:
        """Return the name of the requested kind, or else of the most likely one."""
        from netloom.data.uploads import reader_for

        return reader_for(self._source, request["kind"], request["target"]).name

    def answer_questions(self, request: messages.Message, blobs: list[bytes]) -> Any:
        """Return the questions about the upload for a kind of data."""
        from netloom.data.uploads import readers
        from netloom.sandbox.serialization import as_json

        return [as_json(question) for question in readers()[request["kind"]].questions(self._source, request["given"])]

    def answer_describe(self, request: messages.Message, blobs: list[bytes]) -> Any:
        """Return the description of the upload as a kind of data."""
        from netloom.data.uploads import readers
        from netloom.sandbox.serialization import as_json, columns_as_json

        reader = readers()[request["kind"]]
        answers = reader.answered(self._source, request["given"])
        return {
            "answers": answers,
            "questions": [as_json(question) for question in reader.questions(self._source, answers)],
            "learned": reader.learned(self._source, answers),
            "notes": [*reader.noted(self._source, answers), *self._source.file_notes()],
            "preview": columns_as_json(reader.preview(self._source, answers)) if request["preview"] else [],
        }

    def answer_add(self, request: messages.Message, blobs: list[bytes]) -> Any:
        """Save the upload as a dataset in a staging folder, from which the parent moves it."""
        from dataclasses import asdict

        from netloom.data.uploads import add_source

        options = {name: request[name] for name in ("name", "target", "kind", "options")}
        return asdict(add_source(self._source, Path(request["home"]), progress=self.progress, **options))

    def answer_model(self, request: messages.Message, blobs: list[bytes]) -> Any:
        """Read a model, and write its weights to a file."""
        from netloom.sandbox.models import read_into

        return read_into(Path(request["path"]), request["name"], Path(request["weights"]), request.get("prepare"))

    def answer_tensors(self, request: messages.Message, blobs: list[bytes]) -> Any:
        """Write the tensors of a state dict to a file, and return their names."""
        from netloom.sandbox.models import write_tensors

        return write_tensors(Path(request["path"]), Path(request["weights"]))

    def answer_take(self, request: messages.Message, blobs: list[bytes]) -> Any:
        """Write the weights that match the network of a project to a file."""
        from netloom.sandbox.models import take_into

        return take_into(request["project"], Path(request["path"]), Path(request["weights"]))

    def answer_picture(self, request: messages.Message, blobs: list[bytes]) -> Any:
        """Return the pixels of an image; with a shape, as the images of an upload are stored for training."""
        from netloom.data.images import picture
        from netloom.data.uploads.images.image_questions import read_as_stored
        from netloom.sandbox.examples import as_json

        filename, side = request["filename"], request["side"]
        if not request["shape"]:
            return as_json(picture(blobs[0], filename, side))
        channels, height, width = request["shape"]
        return as_json(read_as_stored(blobs[0], filename, side, (channels, height, width)))

    def answer_sound(self, request: messages.Message, blobs: list[bytes]) -> Any:
        """Return the first samples of a sound."""
        from netloom.data.uploads.sounds.soundfiles import read_sound
        from netloom.sandbox.examples import as_json

        return as_json(read_sound(blobs[0], request["filename"], request["rate"])[: request["most"]])

    def answer_batch(self, request: messages.Message, blobs: list[bytes]) -> Any:
        """Return the rows of a table as JSON, and notes, or the names and types of the files of a zip. With `texts`,
        the only file of a zip can be a text. Of several sheets, the first with one of the `columns` is read; without
        any, a table can have a row for each of the `words` of sentences."""
        from netloom.data import file_types
        from netloom.data.limits import MAX_FILE_BYTES
        from netloom.data.tables.plain_types import records
        from netloom.data.tables.readers import TABLE_FORMS, read_table
        from netloom.data.uploads.rows_to_predict import words_of_sentences

        forms = [form for form in TABLE_FORMS if form != file_types.TEXT or not request["texts"]]
        if not self._source.alone or self._source.form() not in forms:
            return {"files": [[name, self._source.members.form(name)] for name in self._source.names]}
        [name], form = self._source.names, self._source.form()
        content = self._source.members.read(name, MAX_FILE_BYTES)
        table, notes = read_table(content, form, name, to_learn=False, columns=request["columns"])
        is_other = request["words"] and {*map(str, table.columns)}.isdisjoint(request["columns"])
        if is_other and (sentences := words_of_sentences(self._source)):
            return {"sentences": sentences}
        return {"table": json.dumps(records(table)), "notes": notes}

    def answer_batch_layout(self, request: messages.Message, blobs: list[bytes]) -> Any:
        """Return the rows of a layout of the import as JSON, and notes, or with `words` the words of each sentence."""
        from netloom.data.uploads.rows_to_predict import rows_in_layout, words_of_sentences

        if request["words"] and (sentences := words_of_sentences(self._source)):
            return {"sentences": sentences}
        rows, notes = rows_in_layout(self._source, request["columns"])
        return {"table": json.dumps(rows), "notes": notes} if rows else {}

    def answer_batch_pairs(self, request: messages.Message, blobs: list[bytes]) -> Any:
        """Return the names of the two images of each pair of a zip, and notes."""
        from netloom.data.uploads.rows_to_predict import pairs_of_images

        pairs, notes = pairs_of_images(self._source)
        return {"pairs": pairs, "notes": notes}

    def answer_batch_picture(self, request: messages.Message, blobs: list[bytes]) -> Any:
        """Return the pixels of an image of a zip."""
        content = self._source.members.read(request["name"])
        return self.answer_picture({**request, "filename": request["name"]}, [content])

    def answer_batch_sound(self, request: messages.Message, blobs: list[bytes]) -> Any:
        """Return the first samples of a sound of a zip."""
        content = self._source.members.read(request["name"])
        sound_request = {"filename": request["name"], "rate": request["rate"], "most": request["most"]}
        return self.answer_sound(sound_request, [content])

    def answer_batch_text(self, request: messages.Message, blobs: list[bytes]) -> Any:
        """Return a text of a zip."""
        from netloom.data.tables.readers import decode_text

        return decode_text(self._source.members.read(request["name"]), request["name"])[0]


def _preload_data() -> None:
    """Import everything that readers of data need, in advance for all forked processes."""
    from netloom.data.uploads import readers

    for name in ("openpyxl", "pandas", "PIL.Image", "pyarrow.ipc", "pyarrow.parquet", "scipy.signal", "soundfile"):
        import_module(name)
    import_module("netloom.sandbox.serialization")
    import_module("PIL.Image").init()  # loads the plugins of all image formats
    readers()


def _preload_models() -> None:
    """Import everything that readers of models need, in advance for all forked processes."""
    for name in ("torch.export", COMPILER, "onnx", "onnx_ir", "h5py", "safetensors.torch", "netloom.sandbox.models"):
        import_module(name)
    import_module("netloom.compile.importers.onnx")
    import_module("netloom.compile.importers.keras")
    import_module("netloom.compile.importers.torch_export")
    import_module("netloom.training.pretrained")
    import_module("netloom.layers").registry()


def _forked() -> int:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGKILL, 0, 0, 0)
    return work()


def main(arguments: list[str]) -> int:
    """Run the server, or with `--alone` one confined process. Returns the exit code."""
    if arguments == ["--alone"]:
        return work()
    platform.processor()  # runs another program and caches its answer; confined processes cannot run programs
    _preload_models() if arguments == [MODELS] else _preload_data()
    return serve(_forked)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
