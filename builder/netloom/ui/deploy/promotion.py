"""The promotion of a run: the comparison with the run that a server uses, the reload, the canary and the rollback."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from netloom.core.text import escape, number
from netloom.editing.live import Live
from netloom.jobs import RunWeights
from netloom.jobs.requests.monitoring import ComparePromotion
from netloom.serving.server_client import ModelState, ServerClient, ServerRequestError
from netloom.ui.components.errors import guard, show_error
from netloom.ui.deploy.launched_servers import running_servers
from netloom.ui.deploy.state import DeployState, Key
from netloom.ui.shell.background import in_background
from netloom.ui.shell.jobs import computed
from netloom.ui.shell.run_picker import run_labels, runs_with_weights, written_at

if TYPE_CHECKING:
    from netloom.monitoring.promotion import Gate
    from netloom.serving.launched import LaunchedServer
    from netloom.store import Run

REFRESH_S = 3.0
CANARY_PERCENT = 10


def promotion(live: Live, weights: RunWeights) -> None:
    """Draw the comparison of a run with the one that a server of its project uses, and the actions on the server."""
    st.markdown(
        "**Promotion** replaces the run that a server uses with the run that you chose above, if it is not worse.",
        help="Both predict the same held-out rows and the examples that you collected. The server loads the new run "
        "without a failed request.",
    )
    served = live.store.artifacts(weights.run_id).default_weights()
    if weights.checkpoint != served:
        st.caption(f"A server uses the {served} weights, as the training settings of the run choose them.")
    runs = runs_with_weights(live)
    servers = running_servers(live, runs)
    if servers:
        _on_server(live, weights.run_id, runs, _chosen(servers))
    else:
        _without_server(live, weights.run_id, runs)


def _chosen(servers: Sequence[LaunchedServer]) -> LaunchedServer:
    if len(servers) == 1:
        return servers[0]
    by_address = {server.address: server for server in servers}
    return by_address[st.selectbox("Server", list(by_address), key=Key.PROMOTION_SERVER)]


def _without_server(live: Live, run_id: str, runs: Sequence[Run]) -> None:
    st.info(
        "No server of this project was started on this page. Start one in *Server* with the current run, or compare "
        "the run with another one. For a server elsewhere, use `netloom promote --server`.",
        icon=":material/dns:",
    )
    others = {other: label for other, label in run_labels(runs).items() if other != run_id}
    if not others:
        st.caption("This project has only one trained run. Train another one to compare them.")
        return
    current = st.selectbox("Current run", list(others), format_func=others.__getitem__, key=Key.PROMOTION_OVER)
    _gate(live, run_id, str(current))


def _on_server(live: Live, run_id: str, runs: Sequence[Run], server: LaunchedServer) -> None:
    client = ServerClient(server.address, live.store.home)
    try:
        model = in_background(client.model, "Connecting to the server …")
    except ServerRequestError as error:
        st.info(f"{escape(str(error))} A server that was just started answers in a few seconds.")
        st.button("Try again", icon=":material/refresh:", key=Key.PROMOTION_AGAIN)
        return
    labels = run_labels(runs)
    current = model.current.run_id
    st.markdown(f"[{server.address}]({server.address}/docs) uses **{escape(labels.get(current, current[:8]))}**.")
    _rollback(client, model, labels)
    if model.canary is not None or model.shadow is not None:
        _traffic(client, model, labels)
    if current == run_id:
        st.caption("This is the run that you chose above. Choose another run to promote it.")
        return
    if note := model.current.comparison_note:
        st.caption(f":material/info: {escape(note)}")
    gate = _gate(live, run_id, current)
    if gate is not None and gate.passes:
        _actions(client, model, run_id)


def _rollback(client: ServerClient, model: ModelState, labels: Mapping[str, str]) -> None:
    if model.previous is None:
        return
    before = escape(labels.get(model.previous.run_id, model.previous.run_id[:8]))
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Roll back", icon=":material/undo:", key=Key.ROLLBACK):
            _change(partial(client.rollback, model.name), "Rolling back …")
        st.caption(f"Returns to {before}.", width="content")


def _gate(live: Live, run_id: str, current: str) -> Gate | None:
    """Draw the comparison of two runs, or the button that starts it. Returns it when it is computed."""
    request = ComparePromotion(_weights(live, run_id), _weights(live, current), live.store.collected(live.id).stamp())
    state, key = DeployState.current(), request.key(live.store.home)
    if key not in state.promotions:
        start = st.empty()
        is_asked = start.button(
            "Compare the runs", icon=":material/balance:", type="primary", key=Key.PROMOTION_COMPARE
        )
        if not is_asked and state.comparing != key:
            return None
        start.empty()
        state.comparing = key
        try:
            state.promotions[key] = computed(request, "Predicting the same rows with both runs …")
        finally:
            state.comparing = ""
    gate = state.promotions[key]
    icon = ":material/check_circle:" if gate.passes else ":material/block:"
    st.markdown(f"{icon} **{escape(gate.sentence)}**")
    st.dataframe(
        [
            {
                "Rows": compared.title,
                "Number": compared.rows,
                "Measure": compared.measure,
                "Current run": compared.old_value,
                "New run": compared.new_value,
                "Difference": compared.difference,
            }
            for compared in gate.comparisons
        ],
        hide_index=True,
        width="stretch",
    )
    notes = list(gate.notes)
    if gate.mistakes is None:
        notes.append("No corrected examples are collected in this project, so only held-out rows are compared.")
    st.caption(" ".join(notes))
    return gate


def _weights(live: Live, run_id: str) -> RunWeights:
    return RunWeights(run_id, "", written_at(live, run_id))


def _actions(client: ServerClient, model: ModelState, run_id: str) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if st.button("Promote", icon=":material/upgrade:", type="primary", key=Key.PROMOTE):
            _change(
                partial(client.promote, model.name, run_id, model.current.run_id), "The server is loading the run …"
            )
        percent = st.number_input(
            "Canary share in %",
            1,
            100,
            CANARY_PERCENT,
            key=Key.CANARY_PERCENT,
            width=160,
            help="A canary answers this share of the requests, so that you can compare both runs on real requests.",
        )
        if st.button("Start canary", icon=":material/alt_route:", key=Key.CANARY):
            _change(partial(client.set_canary, model.name, run_id, float(percent)), "The server is loading the run …")
        if st.button(
            "Start shadow",
            icon=":material/content_copy:",
            key=Key.SHADOW,
            help="A shadow predicts the same requests, but clients receive only the answers of the current run.",
        ):
            _change(partial(client.set_shadow, model.name, run_id), "The server is loading the run …")


def _change(change: Callable[[], object], text: str) -> None:
    """Change the server in a thread, and draw the page again."""
    try:
        in_background(change, text)
    except ServerRequestError as error:
        show_error(error)
    else:
        st.rerun()


def _traffic(client: ServerClient, model: ModelState, labels: Mapping[str, str]) -> None:
    """Draw the comparison of the versions on real requests, and the buttons that end it."""
    for title, version, end, key in (
        (f"Canary for {model.canary_percent:g}% of the requests", model.canary, client.set_canary, Key.CANARY_END),
        ("Shadow", model.shadow, client.set_shadow, Key.SHADOW_END),
    ):
        if version is not None:
            with st.container(horizontal=True, vertical_alignment="center"):
                run = escape(labels.get(version.run_id, version.run_id[:8]))
                st.markdown(f"{title}: **{run}**", width="content")
                kind = title.split()[0].lower()
                if st.button(f"End {kind}", icon=":material/stop:", key=key):
                    _change(partial(end, model.name, None), f"Ending the {kind} …")
    st.fragment(_comparison, run_every=REFRESH_S)(client, model, labels)


@guard()
def _comparison(client: ServerClient, model: ModelState, labels: Mapping[str, str]) -> None:
    try:
        comparison = in_background(partial(client.comparison, model.name))
    except ServerRequestError as error:
        st.caption(escape(str(error)))
        return
    canary, shadow = comparison.get("canary"), comparison.get("shadow")
    if canary is not None and model.canary is not None:
        sides = (
            ("Current", model.current.run_id, comparison["current"]),
            ("Canary", model.canary.run_id, canary),
        )
        rows = [_traffic_row(name, labels.get(run, run[:8]), counts) for name, run, counts in sides]
        st.dataframe(rows, hide_index=True, width="stretch")
        failures = _difference(canary["error_share"], "Share of failed requests", "{:+.1%}")
        outcomes = _difference(canary["outcome"], "Mean outcome", "{:+.4g}")
        st.caption(
            f"{failures} {outcomes} Clients report an outcome with `POST /outcome`, such as 1 for a right and 0 for a "
            "wrong prediction."
        )
    if shadow is not None:
        if not shadow["rows"]:
            st.caption("The shadow has not computed a row yet.")
        else:
            low, high = shadow["interval"]
            st.caption(
                f"The shadow gives the same prediction for {shadow['agreement']:.1%} of {shadow['rows']:,} "
                f"row{'s' * (shadow['rows'] != 1)} "
                f"(95% CI {low:.1%} to {high:.1%})."
            )
            if shadow.get("failed_rows"):
                st.warning(f"The shadow failed for {shadow['failed_rows']:,} of them: {escape(shadow['failure'])}")


def _traffic_row(name: str, run: str, counts: Mapping[str, Any]) -> dict[str, Any]:
    def milliseconds(value: float | None) -> str:
        return "" if value is None else f"{1000 * value:.1f} ms"

    return {
        "Version": name,
        "Run": run,
        "Requests": counts["requests"],
        "Failed": counts["errors"],
        "Median latency": milliseconds(counts["latency_p50_s"]),
        "99th percentile": milliseconds(counts["latency_p99_s"]),
        "Outcomes": counts["outcomes"],
        "Mean outcome": "" if counts["mean_outcome"] is None else number(counts["mean_outcome"]),
    }


def _difference(value: Mapping[str, Any], title: str, form: str) -> str:
    if value.get("difference") is None:
        return f"{title}: too few requests to compare."
    text = f"{title}, canary − current: {form.format(value['difference'])}"
    if value.get("interval"):
        low, high = (form.format(bound) for bound in value["interval"])
        text += f" (95% CI {low} to {high})"
    return f"{text}{', a significant difference' if value.get('is_significant') else ''}."
