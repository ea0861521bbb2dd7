"""A document as link text: it round-trips, and manipulated text is rejected."""

from __future__ import annotations

import base64
import random
import re
import zlib

import pytest

from netloom.document import DocumentError, Project, blank, dumps
from netloom.document.sharing import MAX_LETTERS, fold, unfold
from tests.compile.published import resnet18
from tests.networks import chain, digits_mlp


def link_text(content: bytes) -> str:
    return "1" + base64.urlsafe_b64encode(zlib.compress(content, 9)).decode().rstrip("=")


@pytest.mark.parametrize(
    "project", [blank("مرحبا 日本 🧵 </script>&?#%"), digits_mlp(), resnet18()], ids=lambda p: p.name[:4]
)
def test_shared_document_round_trips(project: Project) -> None:
    text = fold(project)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", text), "nothing that an address would have to escape"
    assert dumps(unfold(text)) == dumps(project)
    assert len(text) < len(dumps(project))


def test_oversized_document_error_suggests_saving_a_file() -> None:
    digits = random.Random(0).choices("0123456789abcdef", k=40_000)
    project = blank("Large").model_copy(update={"notes": "".join(digits)})
    with pytest.raises(DocumentError, match=r"at most 8,000 are allowed; save the project as a file"):
        fold(project)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is invalid"),
        ("2" + "A" * 20, "newer version of Netloom"),
        ("1", "damaged"),
        ("1!!!!", "damaged"),
        ("1ééé", "damaged"),
        ("1AAAA", "damaged"),
        (fold(digits_mlp())[:-9], "damaged"),
        ("1" * (MAX_LETTERS + 1), "at most 8,000"),
        (link_text(b"[" * 5_000_000), r"has more than 2,\d+,\d+ bytes"),
        (link_text(b"[" * 100_000), "nested too deeply"),
        (link_text(b"[]"), "JSON object"),
        (link_text(b'{"name": "x"}'), "networks"),
        (link_text(b'{"name": "\xff"}'), "UTF-8"),
        (link_text(b'{"name": NaN}'), "JSON"),
    ],
)
def test_invalid_link_text_raises_an_error(text: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message) as caught:
        unfold(text)
    assert "\n" not in str(caught.value)


def test_changed_character_is_rejected_or_decodes_to_a_document() -> None:
    link, rng = fold(chain(("Linear", {"units": 3}))), random.Random(1)
    for _ in range(200):
        index = rng.randrange(len(link))
        text = link[:index] + rng.choice("AZaz09-_ .") + link[index + 1 :]
        message = _error_message(text)
        assert message is None or message.endswith(".")


def _error_message(text: str) -> str | None:
    try:
        unfold(text)
    except DocumentError as error:
        return str(error)
    return None
