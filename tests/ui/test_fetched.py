"""Downloads of the upload form, where they are allowed."""

from __future__ import annotations

import pandas as pd
import pytest

from netloom.data.downloads import FetchError
from netloom.data.uploads import open_source
from netloom.ui.data.upload_form import THUMBNAIL, fetch_files, from_the_web, images_in
from tests.data.test_fetching import TABLE
from tests.data.test_fetching import server as server


def test_downloaded_file_behaves_like_an_upload(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETLOOM_ALLOW_DOWNLOADS", "1")
    monkeypatch.setenv("NETLOOM_ALLOW_PRIVATE_DOWNLOADS", "1")
    progress: list[float] = []
    (file,) = fetch_files(f"{server}/table.csv", lambda share, what: progress.append(share))
    assert (file.name, file.getvalue(), progress[-1]) == ("table.csv", TABLE, 1.0)
    assert open_source(file.getvalue(), file.name).tables() == ["table.csv"]


@pytest.mark.parametrize("typed", ["shapes.csv", "file:///etc/passwd", "http://127.0.0.1/a"])
def test_disallowed_address_is_rejected(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETLOOM_ALLOW_DOWNLOADS", "1")
    with pytest.raises(FetchError):
        fetch_files(typed, lambda share, what: None)


def test_only_thumbnail_columns_are_shown_as_images() -> None:
    """The browser fetches whatever address a cell of such a column holds."""
    thumbnail, address = f"{THUMBNAIL}iVBORw0KGgo=", "https://example.org/a.png"
    columns = {
        "image": [thumbnail, ""],
        "picture": [address, address],
        "mixed": [thumbnail, address],
        "vector": ["data:image/svg+xml,<svg/>"] * 2,
        "empty": ["", ""],
        "size": [1, 2],
    }
    assert images_in(pd.DataFrame(columns)) == ["image"]
    assert images_in(pd.DataFrame({"image": []})) == []


def test_downloads_are_off_by_default(server: str) -> None:
    assert from_the_web() == []
    with pytest.raises(FetchError, match="disabled on this server"):
        fetch_files(f"{server}/table.csv", lambda share, what: None)
