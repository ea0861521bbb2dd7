"""The command that serves a run over HTTP, and requests for its predictions."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import streamlit as st

from netloom.core.text import file_stem
from netloom.editing.live import Live
from netloom.jobs import RunWeights
from netloom.modalities.encoding.cells import RawRow
from netloom.serving.launched import FIRST_PORT, HOST, LaunchOptions, launched
from netloom.serving.models.backend import BACKENDS, TITLES
from netloom.serving.models.served_model import example_row
from netloom.serving.server_settings import DEFAULT_BACKEND
from netloom.ui.deploy.launched_servers import launched_servers
from netloom.ui.deploy.state import Key
from netloom.ui.explain.open_run import open_run
from netloom.ui.shell.background import in_background
from netloom.ui.shell.run_picker import choose_variant

if TYPE_CHECKING:
    from netloom.ui.explain.open_run import OpenRun

ADDRESS = f"http://{HOST}:{FIRST_PORT}"
# A longer row is shown as a file: nobody reads it, and a shell may refuse it.
MAX_LETTERS = 600


def server(live: Live, weights: RunWeights) -> None:
    """Draw the command that serves a run, and examples of requests in curl and Python."""
    st.markdown(
        "A **model server** answers requests for predictions over HTTP: raw rows, the Open Inference Protocol, the "
        "protocol of MLflow, and explanations. It runs in its own process, which you can start here or in a terminal:"
    )
    _, file = choose_variant(live, weights)
    model = str(file) if file is not None else ""
    chosen = DEFAULT_BACKEND if model else _backend()
    logs_requests = st.checkbox(
        "Log requests",
        key=Key.LOG_REQUESTS,
        help="Rows and answers are stored on this machine. The Monitor page compares them with the data of the run.",
    )
    name = file_stem(live.project.name)
    command = ["netloom", "--home", str(live.store.home), "serve", weights.run_id[:8], "--name", name]
    options = LaunchOptions(chosen, logs_requests, model)
    st.code(shlex.join([*command, *options.arguments]), language=None, wrap_lines=True)
    launched_servers(live, weights.run_id, options)
    running = [server for server in launched(live.store.home, weights.run_id) if server.is_running]
    address = running[0].address if running else ADDRESS
    served = live.store.artifacts(weights.run_id).default_weights()
    if not model and weights.checkpoint != served:
        st.caption(f"The server uses the {served} weights, as the training settings of the run choose them.")
    trained = in_background(lambda: open_run(live.store, weights.run_id, weights.written), "Reading the data …")
    row = _example(trained)
    text = json.dumps(row, ensure_ascii=False)
    is_short = len(text) <= MAX_LETTERS
    st.markdown("Request the prediction for a row of the data:")
    curl_tab, python_tab = st.tabs(["curl", "Python"])
    with curl_tab:
        body = f"-d {shlex.quote(text)}" if is_short else "-d @row.json"
        head = f"curl {address}/predict -H 'Content-Type: application/json'"
        st.code(f"{head} {body}", language=None, wrap_lines=True)
    with python_tab:
        st.code(python_request(row if is_short else None, address), language=None, wrap_lines=True)
    if not is_short:
        st.download_button(
            "Download row.json",
            text,
            "row.json",
            "application/json",
            icon=":material/download:",
            key=Key.DOWNLOAD.of("row"),
            on_click="ignore",
        )
    st.caption(
        f"While the server runs, `{address}/docs` documents all fields and routes. By default, it is available on this "
        "machine only; an address for others (`--host`) requires API keys (`netloom serve keys add`)."
    )


def _backend() -> str:
    chosen: str = st.selectbox(
        "Backend",
        list(BACKENDS),
        format_func=TITLES.__getitem__,
        key=Key.BACKEND,
        help="What computes the network. ONNX Runtime is often faster for single rows; the server compares its outputs "
        "with those of PyTorch at the start.",
    )
    return chosen


def _example(trained: OpenRun) -> RawRow:
    data = trained.data
    return example_row(data, [field for field in data.fields if field.name in trained.fields])


def python_request(row: RawRow | None, address: str = ADDRESS) -> str:
    """Return Python source that requests a prediction for a row; None for the row of the file `row.json`."""
    source = 'json.load(open("row.json"))' if row is None else repr(row)
    return (
        f"import json\nimport urllib.request\n\nrow = {source}\n"
        f'request = urllib.request.Request(\n    "{address}/predict",\n'
        "    json.dumps(row).encode(),\n"
        '    {"Content-Type": "application/json"},\n)\nprint(json.load(urllib.request.urlopen(request)))'
    )
