"""Components whose files a browser fetches once, told to Streamlit where the package is not installed."""

from __future__ import annotations

from pathlib import Path

PACKAGE = "builder"


def register(name: str, folder: str) -> str:
    """Tell Streamlit where the files of a component are, as it only finds them by itself where the package is
    installed and not with a bare `streamlit run app.py`. `folder` is within the package. Returns what the component
    is called there."""
    from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
    from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest

    manager, key = get_bidi_component_manager(), f"{PACKAGE}.{name}"
    if manager.get_component_asset_root(key) is None:
        manifest = ComponentManifest(name=PACKAGE, version="0", components=[ComponentConfig(name, folder)])
        manager.register_from_manifest(manifest, Path(__file__).parents[1])
    return key
