"""What the form for one's own data fetches, where that is allowed."""

from __future__ import annotations

import pandas as pd
import pytest

from netloom.data.downloads import FetchError
from netloom.data.uploads import open_source
from netloom.ui.data.upload_form import THUMBNAIL, fetch_files, from_the_web, images_in
from tests.data.test_fetching import TABLE
from tests.data.test_fetching import server as server


def test_a_file_of_the_web_is_like_one_that_was_dropped(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETLOOM_ALLOW_DOWNLOADS", "1")
    monkeypatch.setenv("NETLOOM_ALLOW_PRIVATE_DOWNLOADS", "1")
    told: list[float] = []
    (found,) = fetch_files(f"{server}/table.csv", lambda share, what: told.append(share))
    assert (found.name, found.getvalue(), told[-1]) == ("table.csv", TABLE, 1.0)
    assert open_source(found.getvalue(), found.name).tables() == ["table.csv"]


@pytest.mark.parametrize("typed", ["shapes.csv", "file:///etc/passwd", "http://127.0.0.1/a"])
def test_what_is_not_fetched(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETLOOM_ALLOW_DOWNLOADS", "1")
    with pytest.raises(FetchError):
        fetch_files(typed, lambda share, what: None)


def test_only_columns_of_thumbnails_are_shown_as_images() -> None:
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


def test_nothing_is_offered_or_fetched_unless_it_is_allowed(server: str) -> None:
    assert from_the_web() == []
    with pytest.raises(FetchError, match="switched off"):
        fetch_files(f"{server}/table.csv", lambda share, what: None)
