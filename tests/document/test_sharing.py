"""A document as a text for a link: all of it comes back, and what was tampered with is refused."""

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


def packed(content: bytes) -> str:
    return "1" + base64.urlsafe_b64encode(zlib.compress(content, 9)).decode().rstrip("=")


@pytest.mark.parametrize(
    "project", [blank("مرحبا 日本 🧵 </script>&?#%"), digits_mlp(), resnet18()], ids=lambda p: p.name[:4]
)
def test_all_of_a_document_comes_back(project: Project) -> None:
    text = fold(project)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", text), "nothing that an address would have to escape"
    assert dumps(unfold(text)) == dumps(project)
    assert len(text) < len(dumps(project))


def test_a_large_document_is_refused_with_a_way_out() -> None:
    digits = random.Random(0).choices("0123456789abcdef", k=40_000)
    project = blank("Large").model_copy(update={"notes": "".join(digits)})
    with pytest.raises(DocumentError, match=r"at most 8,000 are allowed; save the project as a file"):
        fold(project)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is invalid"),
        ("2" + "A" * 20, "newer version of Netloom"),
        ("1", "damaged"),
        ("1!!!!", "damaged"),
        ("1ééé", "damaged"),
        ("1AAAA", "damaged"),
        (fold(digits_mlp())[:-9], "damaged"),
        ("1" * (MAX_LETTERS + 1), "at most 8,000"),
        (packed(b"[" * 5_000_000), r"has more than 2,\d+,\d+ bytes"),
        (packed(b"[" * 100_000), "nested too deeply"),
        (packed(b"[]"), "JSON object"),
        (packed(b'{"name": "x"}'), "networks"),
        (packed(b'{"name": "\xff"}'), "UTF-8"),
        (packed(b'{"name": NaN}'), "JSON"),
    ],
)
def test_what_is_no_link_gets_a_sentence(text: str, said: str) -> None:
    with pytest.raises(DocumentError, match=said) as caught:
        unfold(text)
    assert "\n" not in str(caught.value)


def test_any_changed_letter_is_refused_or_read_as_a_document() -> None:
    whole, chance = fold(chain(("Linear", {"units": 3}))), random.Random(1)
    for _ in range(200):
        place = chance.randrange(len(whole))
        text = whole[:place] + chance.choice("AZaz09-_ .") + whole[place + 1 :]
        sentence = _refusal(text)
        assert sentence is None or sentence.endswith(".")


def _refusal(text: str) -> str | None:
    try:
        unfold(text)
    except DocumentError as error:
        return str(error)
    return None
