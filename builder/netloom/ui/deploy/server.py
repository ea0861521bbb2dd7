"""How to serve a run over HTTP, and how to ask it for predictions."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import streamlit as st

from netloom.core.text import file_stem
from netloom.editing.live import Live
from netloom.jobs import RunWeights
from netloom.ui.explain.open_run import open_run
from netloom.ui.shell.background import in_background

PORT = 8800
# A longer row is shown as a file: nobody reads it, and a shell may refuse it.
MOST_LETTERS = 600


def server(live: Live, weights: RunWeights) -> None:
    """Draw the command that serves a run, and examples of requests in curl and Python."""
    st.markdown(
        "**A model server** answers predictions of this run over HTTP, in a process of its own: raw rows, the Open "
        "Inference Protocol, MLflow's requests and explanations, with batches, keys, limits, metrics and "
        "documentation. Start it on the machine that serves:"
    )
    name = file_stem(live.project.name)
    home = live.store.home
    command = f"netloom --home {_quoted(str(home))} serve {weights.run_id[:8]} --name {name}"
    st.code(command, language=None)
    trained = in_background(lambda: open_run(live.store, weights.run_id, weights.written), "Reading the data …")
    row = trained.data.row(int(trained.data.split["test"][0]))
    fields = {key: _plain(value) for key, value in row.items()}
    text = json.dumps(fields, ensure_ascii=False)
    is_short = len(text) <= MOST_LETTERS
    st.markdown("Ask it with a row of the test split:")
    curl_tab, python_tab = st.tabs(["curl", "Python"])
    with curl_tab:
        body = f"-d {_quoted(text)}" if is_short else "-d @row.json"
        head = f"curl http://127.0.0.1:{PORT}/predict -H 'Content-Type: application/json'"
        st.code(f"{head} {body}", language=None, wrap_lines=True)
    with python_tab:
        source = text if is_short else 'json.load(open("row.json"))'
        st.code(
            f"import json\nimport urllib.request\n\nrow = {_python(source, is_short)}\n"
            f'request = urllib.request.Request(\n    "http://127.0.0.1:{PORT}/predict",\n'
            "    json.dumps(row).encode(),\n"
            '    {"Content-Type": "application/json"},\n)\nprint(json.load(urllib.request.urlopen(request)))',
            language=None,
            wrap_lines=True,
        )
    if not is_short:
        st.download_button("Download row.json", text, "row.json", "application/json", icon=":material/download:")
    st.caption(
        f"Documentation of the fields and all routes is at `http://127.0.0.1:{PORT}/docs` once it runs. By default it "
        "answers this machine only; with `--host`, it needs API keys (`netloom serve keys add`)."
    )


def _python(source: str, is_literal: bool) -> str:
    """Return JSON as a Python literal; null, true and false have other names."""
    return repr(json.loads(source)) if is_literal else source


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
