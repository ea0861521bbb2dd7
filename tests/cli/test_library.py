"""`netloom library`: networks that one document publishes and another one uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from netloom.document import read, write
from netloom.templates.shelf import blocks
from tests.cli.conftest import Console
from tests.compile.published import resnet18
from tests.networks import digits_mlp


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "resnet.json"
    write(path, resnet18())
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "digits.json"
    write(path, digits_mlp())
    return path


def test_published_network_is_usable_in_another_document(console: Console, source: Path, target: Path) -> None:
    published = console("library", "publish", source, "main", "--name", "resnet", "--json")
    assert (published.code, published.value["name"], published.value["size"]) == (0, "resnet", 11_689_512)
    used = console("library", "use", "resnet", target, "--json").value
    assert (used["network"], sorted(used["new"])) == ("resnet", ["basic", "down", "resnet"])
    assert read(target).networks["resnet"] == resnet18().main_network
    assert read(target).main_network == digits_mlp().main_network
    repeated = console("library", "use", "resnet", target)
    assert "has resnet already" in repeated.out
    assert console("check", target).code == 0


def test_built_in_blocks_are_listed_and_usable(console: Console, target: Path) -> None:
    rows = console("library", "list", "--json").value
    assert [row["name"] for row in rows if row["ready"]] == list(blocks()) == [row["name"] for row in rows]
    assert "Added unet_up to" in console("library", "use", "unet_up", target).out
    assert read(target).networks["unet_up"] == blocks()["unet_up"].bundle.main_network


def test_publish_overwrites_only_with_force(console: Console, source: Path) -> None:
    assert console("library", "publish", source, "down").code == 0
    refused = console("library", "publish", source, "down")
    assert refused.code == 2
    assert "--force" in refused.err
    assert console("library", "publish", source, "down", "--force", "--json").value["number"] == 2
    listed = console("library", "list").out
    assert listed.splitlines()[1].split()[0] == "down"
    assert console("library", "delete", "down", "--json").value == {"deleted": "down"}
    assert console("library", "delete", "down").code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("publish", "SOURCE", "nothing"), "no network 'nothing' in this project"),
        (("publish", "SOURCE", "main", "--name", "../x"), "lowercase"),
        (("publish", "SOURCE", "down", "--name", "bottleneck"), "is a built-in block"),
        (("publish", "gone.json", "main"), "gone.json"),
        (("use", "nothing", "SOURCE"), "netloom library list"),
        (("use", "bottleneck", "gone.json"), "gone.json"),
        (("delete", "bottleneck"), "no network 'bottleneck' in the library that you can delete"),
    ],
)
def test_invalid_library_commands_are_refused(
    console: Console, source: Path, arguments: tuple[str, ...], message: str
) -> None:
    answer = console("library", *(source if word == "SOURCE" else word for word in arguments))
    assert answer.code == (1 if "../x" in arguments else 2)
    assert message in answer.err
    assert read(source) == resnet18()
