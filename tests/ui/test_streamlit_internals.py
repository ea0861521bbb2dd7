"""Streamlit's private interface: only one module uses it, and it works as that module expects."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import logging
from importlib import import_module
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from netloom.ui.components import streamlit_internals as internals
from tests.sources import PACKAGE, ROOT, SCRIPTS, complaints, modules

UI = PACKAGE / "ui"
GUARD = UI / "components" / "streamlit_internals.py"
# The modules in Streamlit's documentation.
PUBLIC = ("streamlit", "streamlit.delta_generator", "streamlit.errors", "streamlit.starlette", "streamlit.testing.v1")
CHANGED = f"Streamlit {st.__version__} changed it: adapt netloom.ui.components.streamlit_internals"


def test_only_one_module_uses_streamlit_internals() -> None:
    uses = complaints(modules(UI) - {GUARD} | SCRIPTS, internal_names)
    assert not uses, "Move these into netloom.ui.components.streamlit_internals:\n" + "\n".join(uses)


def internal_names(source: str) -> list[str]:
    """The Streamlit modules that a module imports or names, except the public ones."""
    tree = ast.parse(source)
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    imported += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names = [name for name in imported if name.partition(".")[0] == "streamlit" and name not in PUBLIC]
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return names + [text for text in texts if "_stcore" in text or text.startswith("streamlit.")]


def test_streamlit_requirement_has_an_upper_bound() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (bound,) = [text for text in project["dependencies"] if text.startswith("streamlit")]
    assert "<1." in bound, "what is not public may change with every minor version"


def test_component_manifest_interface_is_unchanged() -> None:
    from streamlit.components.v2.component_manager import BidiComponentManager
    from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest

    assert list(inspect.signature(BidiComponentManager.get_component_asset_root).parameters) == ["self", "name"], (
        CHANGED
    )
    parameters = list(inspect.signature(BidiComponentManager.register_from_manifest).parameters)
    assert parameters == ["self", "manifest", "package_root"], CHANGED
    assert [field.name for field in dataclasses.fields(ComponentConfig)][:2] == ["name", "asset_dir"], CHANGED
    assert {"name", "version", "components"} <= {field.name for field in dataclasses.fields(ComponentManifest)}, CHANGED


def test_registered_component_has_its_asset_root() -> None:
    from streamlit.components.v2.component_manager import BidiComponentManager

    manager, root = BidiComponentManager(), ROOT / "builder" / "netloom"
    with pytest.MonkeyPatch.context() as patch:
        # Outside a server, Streamlit creates a new manager at each call.
        module = import_module("streamlit.components.v2.get_bidi_component_manager")
        patch.setattr(module, "get_bidi_component_manager", lambda: manager)
        internals.register_component("netloom", "curves", root, "ui/components/curves/served")
    asset_root = manager.get_component_asset_root("netloom.curves")
    assert asset_root is not None, CHANGED
    assert asset_root.samefile(root / "ui" / "components" / "curves" / "served"), CHANGED


def test_plotly_is_a_script_of_its_own() -> None:
    folder = Path(st.__file__).parent / "static" / "static" / "js"
    assert internals.plotly_file(), CHANGED
    assert "plotly" in (folder / internals.plotly_file()).read_text(encoding="utf-8").lower(), CHANGED


def test_internal_routes_match_the_server() -> None:
    from streamlit.web.server.starlette import starlette_routes

    source = inspect.getsource(starlette_routes)
    core = starlette_routes.BASE_ROUTE_CORE
    addresses = {f"{core}/{part}" for part in ("metrics", "upload_file", "bidi-components")}
    for address in addresses:
        assert address in source or f"{{BASE_ROUTE_CORE}}/{address.partition('/')[2]}" in source, CHANGED
    assert f"/{core}/metrics" == internals.METRICS, CHANGED
    assert f"{core}/bidi-components/" == internals.COMPONENT_FILES, CHANGED
    match = internals.UPLOAD.fullmatch(f"/below/{core}/upload_file/a-session/a-file")
    assert match is not None, CHANGED
    assert match["session"] == "a-session"


def test_callback_errors_are_logged() -> None:
    from streamlit.error_util import handle_uncaught_app_exception

    records: list[logging.LogRecord] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler = Keeping(logging.ERROR)
    logger = logging.getLogger(internals.ERROR_LOGGER)
    logger.addHandler(handler)
    try:
        handle_uncaught_app_exception(ValueError("it failed"))
    finally:
        logger.removeHandler(handler)
    assert any(record.exc_info and str(record.exc_info[1]) == "it failed" for record in records), CHANGED


def test_uploaded_bytes_are_counted_per_session(monkeypatch: pytest.MonkeyPatch) -> None:
    from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
    from streamlit.runtime.uploaded_file_manager import UploadedFileRec

    class Server:
        """A runtime with one active session and one that has ended."""

        uploaded_file_mgr = MemoryUploadedFileManager("/upload")

        def is_active_session(self, session: str) -> bool:
            return session == "here"

    server = Server()
    for session, count in (("here", 3), ("gone", 5)):
        server.uploaded_file_mgr.add_file(session, UploadedFileRec("1", "a", "text/plain", b"x" * count))
    monkeypatch.setattr(internals, "exists", lambda: True)
    monkeypatch.setattr(internals, "get_instance", lambda: server)
    assert internals.uploaded_bytes() == {"here": 3, "gone": 5}, CHANGED
    internals.release_uploads()
    assert internals.uploaded_bytes() == {"here": 3}, CHANGED


def test_internals_return_defaults_outside_a_page() -> None:
    assert (internals.session_id(), internals.main_script(), internals.rerun_fragments([])) == ("", None, None)
    assert internals.uploaded_bytes() == {}


def page_script() -> None:
    import streamlit as st

    from netloom.ui.components import streamlit_internals as internals

    st.text(internals.session_id())
    st.text(str(internals.main_script()))
    st.text(str(internals.rerun_fragments(["part"])))
    raise internals.StopException


def test_page_has_session_and_script_and_can_stop() -> None:
    app = AppTest.from_function(page_script).run()
    assert not app.exception, CHANGED
    session, script, fragment = (text.value for text in app.text)
    assert session, CHANGED
    assert Path(script).is_absolute(), CHANGED
    assert fragment == "None", CHANGED


def test_reused_theme_equals_the_settings() -> None:
    from streamlit.proto.NewSession_pb2 import CustomThemeConfig
    from streamlit.runtime import app_session

    read = inspect.unwrap(
        getattr(app_session, internals.THEME_READER)
    )  # a page of an earlier test may have replaced it
    assert [*inspect.signature(read).parameters] == ["msg", "section"], CHANGED
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app_session, internals.THEME_READER, read)  # put back afterward
        internals.reuse_theme()
        reused = getattr(app_session, internals.THEME_READER)
        assert reused is not read, CHANGED
        for _ in range(2):
            expected, received = CustomThemeConfig(), CustomThemeConfig()
            for message, populate in ((expected, read), (received, reused)):
                populate(message)
                populate(message.dark, "theme.dark")
                populate(message.sidebar, "theme.sidebar")  # without settings
            assert received == expected, CHANGED
            assert received.dark.primary_color == st.get_option("theme.dark.primaryColor") != "", CHANGED
            assert not received.HasField("sidebar") or expected.HasField("sidebar"), CHANGED


@pytest.mark.parametrize(
    ("level", "text", "is_kept"),
    [
        (logging.INFO, internals.LATE_REFRESH, False),
        (logging.INFO, "Another note", True),
        (logging.WARNING, internals.LATE_REFRESH, True),
    ],
)
def test_only_the_note_on_a_late_refresh_is_dropped(level: int, text: str, is_kept: bool) -> None:
    assert internals.LATE_REFRESH in inspect.getsource(import_module(internals.SESSION_LOGGER)), CHANGED
    internals.drop_late_refresh_notes()
    logger = logging.getLogger(internals.SESSION_LOGGER)
    record = logger.makeRecord(logger.name, level, "", 0, text, ("1",), None)
    assert bool(logger.filter(record)) is is_kept
