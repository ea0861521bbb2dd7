"""The page /docs: what the server answers, with lines to copy. It needs no script."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from netloom.serving.models.served_model import ServedModel
from netloom.serving.route import ServerRoute, routes
from netloom.serving.server_state import ServerState

MAX_EXAMPLE = 1_500  # characters of a row in a command
_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, CanvasText 20%, Canvas); }
html { background: Canvas; color: CanvasText; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
code, pre { font: 0.88rem/1.45 ui-monospace, monospace; }
pre { overflow-x: auto; padding: 0.8rem 1rem; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; display: block; overflow-x: auto; }
th, td { text-align: left; vertical-align: top; padding: 0.35rem 0.8rem 0.35rem 0; }
th, td { border-bottom: 1px solid var(--line); }
"""


def curl_line(model: ServedModel, url: str, *, needs_key: bool) -> str:
    """Return a command that predicts the example of a model. `url` is the address of the server, with the path of a
    model unless it is the first one. A long example is fetched from the server instead of being part of the command."""
    row = json.dumps(model.example, ensure_ascii=False)
    key = ' -H "Authorization: Bearer $KEY"' if needs_key else ""
    predict = f"curl {url}/predict -H 'Content-Type: application/json'{key} -d"
    if len(row) > MAX_EXAMPLE:
        return f"curl -s {url}/example{key} | {predict} @-"
    quoted = row.replace("'", "'\\''")
    return f"{predict} '{quoted}'"


def python_lines(url: str, *, needs_key: bool) -> str:
    """Return the same in Python."""
    headers = ', headers={"Authorization": f"Bearer {key}"}' if needs_key else ""
    return (
        f'import requests\n\nrow = requests.get("{url}/example"{headers}).json()\n'
        f'print(requests.post("{url}/predict", json=row{headers}).json())'
    )


def docs_page(server: ServerState, host: str) -> str:
    """Return the page as HTML. `host` is the address by which the client reached the server."""
    address = f"http://{host}" if host else f"http://{server.settings.host}:{server.settings.port}"
    parts = [f"<h1>{escape(', '.join(server.deployments))}</h1>", "<p>A model server of Netloom. "]
    parts.append('<a href="/openapi.json">OpenAPI document</a> · <a href="/metrics">Metrics</a></p>')
    for name, deployment in server.deployments.items():
        path = "" if deployment is server.default else f"/models/{name}"
        parts.append(_model(deployment.current.model, address + path, needs_key=server.settings.needs_key))
    parts.append("<h2>Routes</h2>" + _table(("Route", "What it does"), [_route(item) for item in routes().values()]))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(server.default.name)}: model server</title><style>{_STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>"
    )


def _model(model: ServedModel, url: str, *, needs_key: bool) -> str:
    fields = [
        (f"<code>{escape(field.name)}</code>", _type(field.schema), _shape(field.shape), field.datatype)
        for field in model.fields
    ]
    parts = [
        (f"<code>{escape(part.name)}</code>", escape(str(part.schema.get("description", ""))), part.datatype)
        for part in model.all_parts
    ]
    exact = (
        "Each row is computed by itself, so answers equal those of the app bit for bit."
        if model.is_exact
        else "A single row gives the bits of the app. In a batch, outputs differ by at most "
        f"{model.difference:.1e} of the largest output, as measured at the start."
    )
    return (
        f"<h2>{escape(model.name)}</h2><p>Version <code>{escape(model.version)}</code>. {exact}</p>"
        f'<h3>Predict</h3><pre tabindex="0">{escape(curl_line(model, url, needs_key=needs_key))}</pre>'
        f'<pre tabindex="0">{escape(python_lines(url, needs_key=needs_key))}</pre>'
        f'<p><a href="{escape(url)}/example">An example of a row</a>, from the test split of its data.</p>'
        f"<h3>Fields of a row</h3>{_table(('Field', 'Type', 'Shape', 'Tensor'), fields)}"
        f"<h3>Keys of an answer</h3>{_table(('Key', 'Meaning', 'Tensor'), parts)}"
    )


def _type(schema: Mapping[str, Any]) -> str:
    text, note = " or ".join(_types(schema)), schema.get("description", "")
    return escape(f"{text}. {note}" if note else text)


def _types(schema: Mapping[str, Any]) -> list[str]:
    if "anyOf" in schema:
        return [name for part in schema["anyOf"] for name in _types(part)]
    names = schema.get("type", [])
    return names if isinstance(names, list) else [names]


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join("any" if size < 0 else str(size) for size in shape)


def _route(route: ServerRoute) -> tuple[str, str]:
    paths = "<br>".join(f"<code>{route.method} {escape(path)}</code>" for path in route.paths)
    return paths, escape(route.summary) + "."


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table; the cells are HTML. The keyboard can reach it, and so scroll it on a narrow screen."""
    top = "".join(f"<th>{name}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table tabindex="0"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'
