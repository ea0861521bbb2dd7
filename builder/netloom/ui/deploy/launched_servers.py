"""Servers of a run that the page starts, shows and stops. They are processes of their own and outlive the page."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from netloom.core.errors import UsageError
from netloom.core.text import file_stem
from netloom.editing.live import Live
from netloom.serving.launched import LaunchedServer, LaunchOptions, free_port, launch, launched
from netloom.store import Run
from netloom.ui.components.errors import guard, show_error
from netloom.ui.deploy.state import Key

LOOK_EVERY_S = 2


def running_servers(live: Live, runs: Sequence[Run]) -> list[LaunchedServer]:
    """Return the servers started by the page that use a run of the project."""
    run_ids = {run.id for run in runs}
    return [server for server in launched(live.store.home) if server.is_running and server.run_id in run_ids]


def launched_servers(live: Live, run_id: str, options: LaunchOptions) -> None:
    """Draw the servers of a run, and the form that starts one."""
    is_watched = any(server.is_running for server in launched(live.store.home, run_id))
    st.fragment(_servers, run_every=LOOK_EVERY_S if is_watched else None)(live, run_id, options)


@guard()
def _servers(live: Live, run_id: str, options: LaunchOptions) -> None:
    servers = launched(live.store.home, run_id)
    running = [server for server in servers if server.is_running]
    with st.container(border=True):
        for server in running:
            _running(server)
        if running:
            return
        for server in servers:
            if server.has_failed:
                _failed(server)
        for server in running_servers(live, live.store.runs(live.id)):
            st.markdown(
                f":material/info: Another run of this project is served at [{server.address}]({server.address}/docs). "
                "*Promote* replaces it with this run without a failed request."
            )
        _start(live, run_id, options)


def _start(live: Live, run_id: str, options: LaunchOptions) -> None:
    port_column, button_column = st.columns([1, 3], vertical_alignment="bottom")
    with port_column:
        port = st.number_input("Port", 1_024, 65_535, free_port(live.store.home), key=Key.PORT.of(run_id))
    with button_column:
        is_clicked = st.button("Start server", type="primary", icon=":material/play_arrow:", key=Key.START.of(run_id))
    st.caption("The server runs on the machine of the app and answers this machine only, until you stop it.")
    if not is_clicked:
        return
    try:
        launch(live.store.home, run_id, file_stem(live.project.name), int(port), options)
    except (UsageError, OSError) as error:
        show_error(error)
    else:
        st.rerun()


def _running(server: LaunchedServer) -> None:
    text_column, button_column = st.columns([3, 1], vertical_alignment="center")
    with text_column:
        address = server.address
        if server.is_ready:
            st.markdown(f":material/check_circle: **Running** at [{address}]({address}/docs) (process {server.pid})")
        else:
            st.markdown(f":material/hourglass_top: **Starting** at {address} (process {server.pid}) …")
    with button_column:
        if st.button("Stop server", icon=":material/stop:", key=Key.STOP.of(str(server.port))):
            server.stop()
            st.rerun()
    _log(server)


def _failed(server: LaunchedServer) -> None:
    st.markdown(f":material/error: The server at port {server.port} has ended **with an error**.")
    _log(server)


def _log(server: LaunchedServer) -> None:
    if output := server.output().strip():
        with st.expander("Output of the server"):
            st.code(output, language=None, wrap_lines=True)
