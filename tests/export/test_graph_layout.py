"""Diagrams show the whole graph, whatever its shape, and user text is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from netloom import export
from netloom.core.text import plain
from netloom.document import DataChoice, Edge, Network, Node, Project
from netloom.export import graph_layout
from netloom.export.formats.mermaid import flowchart
from netloom.export.formats.svg import draw
from netloom.templates import templates
from netloom.validation import digraph
from netloom.validation.graph_views import cyclic
from tests.explain.models import trained
from tests.networks import IMAGE, chain, project

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    "</script><script>alert(1)</script>", 'say "hello"', "one\ntwo", "] --> evil", "a`b`",
    "<img src=x onerror=alert(1)>", "]]></text>",
    "&lt;b&gt;", "#quot; #35;", '%%{init: {"theme": "dark"}}%%', "1. first", "- first", "end",
    'click n1 href "javascript:alert(1)"', "$$x^2$$", "fa:fa-car", "\\n <br/>", ":::c1", "{{x}}", "|x|", "a;b",
    "漢字 é 🙂", "\x00\x1b[31m\u202eevil", "'", "graph TD; A-->B",
]  # fmt: skip
STATEMENTS = [
    r"flowchart TD",
    r'    subgraph s\d+\["[^"\n]*"\]',
    r"    end",
    r'    n\d+\["[^"\n]*"\]',
    r'    n\d+ --> (\|"[^"\n]*"\| )?n\d+',
    r"    classDef c\d+ fill:#f8fafc,stroke:#[0-9a-f]{6},color:#0f172a",
    r"    class n\d+(,n\d+)* c\d+",
]
# Mermaid labels: letters, digits and a few other characters are literal, the rest are numeric entities.
WITHIN = re.compile(r"(?:[^\W_]|[ ,()×…]|#\d+;)*")


def chain_with_titles(titles: list[str]) -> Project:
    """A chain of layers with these titles."""
    document = chain(
        ("Input", {"field": titles[0][:200], "kind": "vector", "shape": [4]}), *[("ReLU", {})] * len(titles)
    )
    network = document.main_network
    nodes = dict(network.nodes)
    for number, title in enumerate(titles, 1):
        nodes[f"relu_{number}"] = nodes[f"relu_{number}"].model_copy(update={"title": title})
    return document.with_network("main", network.model_copy(update={"nodes": nodes})).model_copy(
        update={"name": titles[0]}
    )


def decode_mermaid(text: str) -> str:
    """An entity-encoded label as Mermaid displays it, without invisible characters."""
    return re.sub(r"#(\d+);", lambda match: chr(int(match[1])), text).replace("\u2060", "")


def svg_texts(svg: str) -> list[str]:
    return [item.text or "" for item in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_svg_escapes_hostile_titles() -> None:
    svg = draw(chain_with_titles(HOSTILE))
    tree = ElementTree.fromstring(svg)
    assert {item.tag.removeprefix(SVG) for item in tree.iter()} == {
        "svg", "title", "rect", "defs", "marker", "path", "g", "text",
    }  # fmt: skip
    for item in tree.iter():
        assert not {name for name in item.attrib if name.startswith("on") or "href" in name}
    whole = [(item.text or "").partition(": ")[0] for item in tree.iter(f"{SVG}title")]
    for title in HOSTILE:
        assert plain(title) in svg_texts(svg) or any(
            shown.endswith("…") and plain(title).startswith(shown[:-1]) for shown in svg_texts(svg)
        )
        assert any(plain(title).startswith(name) for name in whole)
    assert all(letter.isprintable() or letter == "\n" for letter in svg)


def test_mermaid_escapes_hostile_titles() -> None:
    """Each line is a known statement, and quoted text contains no Mermaid syntax."""
    text = flowchart(chain_with_titles(HOSTILE))
    lines = text.splitlines()
    for line in lines:
        assert any(re.fullmatch(pattern, line) for pattern in STATEMENTS), line
    labels = re.findall(r'"([^"]*)"', text)
    shown = []
    for label in labels:
        first, *further_lines = label.split("<br/>")
        assert len(further_lines) <= 1
        assert all(WITHIN.fullmatch(part) for part in (first, *further_lines)), label
        shown.append(decode_mermaid(first))
    assert [name for name in shown if not name.startswith("(N")][1 : len(HOSTILE) + 1] == [
        plain(title) for title in HOSTILE
    ]
    # Mermaid interprets these sequences even after it has decoded a label.
    for label in labels:
        whole = re.sub(r"#(\d+);", lambda match: chr(int(match[1])), label.replace("<br/>", ""))
        assert not re.search(r"\$\$.*\$\$|fa[bklrs]?:fa-|\\n|<br", whole), label


def test_diagram_shows_every_layer_and_shape() -> None:
    run = trained("image")
    for kind in ("svg", "mermaid"):
        text = export.content(run, kind).decode()
        for word in ("Conv 2D", "Batch norm 2D", "ReLU", "Max pool 2D", "Global max pool", "Linear", "Output"):
            assert word in text, (kind, word)
        for shape in ("(N, 1, 24, 24)", "(N, 8, 24, 24)", "(N, 8, 12, 12)", "(N, 16)", "(N, 4)"):
            assert shape in text, (kind, shape)


def test_secondary_output_port_is_labeled() -> None:
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": ("Input", {"field": "x", "kind": "sequence", "shape": [8, 3]}),
        "lstm_1": ("LSTM", {"hidden_size": 4}),
        "output_1": ("Output", {}),
    }
    document = project(nodes, [("input_1", "lstm_1"), ("lstm_1.state", "output_1")])
    assert "state (N, 4)" in svg_texts(draw(document))
    assert '|"state (N, 4)"|' in flowchart(document)


def test_long_titles_are_truncated() -> None:
    shown = svg_texts(draw(chain_with_titles(["x" * 200, "漢" * 100])))
    assert f"{'x' * 25}…" in shown
    assert f"{'漢' * 12}…" in shown


def test_incomplete_networks_are_drawn() -> None:
    """An empty network, unknown layers, a cycle, missing shapes."""
    assert ElementTree.fromstring(draw(Project(name="x", networks={"main": Network()}))) is not None
    assert flowchart(Project(name="x", networks={"main": Network()})) == "flowchart TD\n"
    document = project(
        {"a": ("ReLU", {}), "b": ("ReLU", {}), "c": ("Nothing", {})}, [("a", "b"), ("b", "a"), ("b", "c")]
    )
    assert {"ReLU", "c"} <= set(svg_texts(draw(document)))
    assert flowchart(document).count("-->") == 3
    assert_layout_valid(document)


def nested_networks() -> Project:
    """Three layers deep, the innermost used twice."""
    inner = chain(("Input", {"field": "", "kind": "vector", "shape": [4]}), ("Linear", {"units": 4}), ("ReLU", {}))
    twice: list[tuple[str, dict[str, Any]]] = [
        ("Input", {"field": "", "kind": "vector", "shape": [4]}),
        ("Subnetwork", {"network": "inner"}),
        ("Subnetwork", {"network": "inner"}),
    ]
    main: list[tuple[str, dict[str, Any]]] = [
        ("Input", {"field": "x", "kind": "vector", "shape": [4]}),
        ("Subnetwork", {"network": "block", "repeat": 3}),
    ]
    document = chain(*main)
    return document.model_copy(
        update={
            "networks": {
                **document.networks, "block": chain(*twice).main_network, "inner": inner.main_network,
                "unused": inner.main_network,
            }
        }
    )  # fmt: skip


def test_nested_networks_get_their_own_diagrams() -> None:
    document = nested_networks()
    assert [diagram.name for diagram in graph_layout.diagrams(document)] == ["main", "block", "inner"]
    assert {"Test", "block", "inner"} <= set(svg_texts(draw(document)))
    text = flowchart(document)
    assert re.findall(r'subgraph s\d\["(.*)"\]', text) == ["Test", "block", "inner"]
    assert text.count("    end\n") == 3
    assert (
        len(re.findall(r"^    n\d+\[", text, re.MULTILINE)) == len(set(re.findall(r"^    (n\d+)\[", text, re.M))) == 11
    )


def random_graphs() -> Iterator[Project]:
    random = np.random.default_rng(0)
    for size in (1, 2, 5, 12, 30, 60):
        ids = [f"n_{number}" for number in range(size)]
        nodes = {key: Node(id=key, type="Concat" if number else "Input") for number, key in enumerate(ids)}
        edges = []
        for number in range(1, size):
            reach = min(number, int(random.integers(1, 9)))
            chosen = random.choice(number, size=min(reach, 3), replace=False)
            edges += [Edge(source=ids[start], target=f"{ids[number]}.p{port}") for port, start in enumerate(chosen)]
        yield Project(name="Random", networks={"main": Network(nodes=nodes, edges=tuple(edges))}, data=DataChoice())


def assert_layout_valid(document: Project) -> None:
    """Boxes do not touch, arrows do not cross boxes, arrows point downward, and everything is inside the image."""
    for diagram in graph_layout.diagrams(document):
        assert_diagram_valid(diagram, document.networks[diagram.name])


def assert_diagram_valid(diagram: graph_layout.Diagram, network: Network) -> None:
    placed = graph_layout.layout(diagram)
    places = placed.places
    assert places.keys() == network.nodes.keys()
    for (x1, y1), (x2, y2) in combinations(places.values(), 2):
        assert abs(x1 - x2) >= graph_layout.WIDTH + 8 or abs(y1 - y2) >= graph_layout.HEIGHT + 8
    for x, y in places.values():
        assert graph_layout.WIDTH / 2 <= x <= placed.width - graph_layout.WIDTH / 2
        assert graph_layout.HEIGHT / 2 <= y <= placed.height - graph_layout.HEIGHT / 2
    for arrow, route in zip(diagram.arrows, placed.routes, strict=True):
        assert route[0] == (places[arrow.source][0], places[arrow.source][1] + graph_layout.HEIGHT / 2)
        assert route[-1] == (places[arrow.target][0], places[arrow.target][1] - graph_layout.HEIGHT / 2)
        if cyclic(digraph(network)):
            continue
        assert all(upper[1] < lower[1] for upper, lower in pairwise(route))
        for x, y in route[1:-1]:
            assert 0 <= x <= placed.width
            for index in places.values():
                assert abs(index[0] - x) > graph_layout.WIDTH / 2 or abs(index[1] - y) > graph_layout.HEIGHT / 2


def test_random_graphs_have_valid_layouts() -> None:
    for document in random_graphs():
        assert_layout_valid(document)


@pytest.mark.parametrize("name", sorted(templates()))
def test_templates_have_valid_layouts(name: str) -> None:
    document = templates()[name].project
    assert_layout_valid(document)
    drawing = draw(document)
    assert drawing == draw(document)
    count = sum(len(diagram.boxes) for diagram in graph_layout.diagrams(document))
    assert len(re.findall("<rect", drawing)) == 2 * count + 1


def test_chain_layout_is_one_column() -> None:
    document = chain(IMAGE, ("Flatten", {}), ("Linear", {"units": 64}), ("ReLU", {}), ("Linear", {"units": 10}))
    (diagram,) = graph_layout.diagrams(document)
    xs = {round(x, 3) for x, _ in graph_layout.layout(diagram).places.values()}
    assert len(xs) == 1


def test_residual_network_layout_is_nearly_straight() -> None:
    (diagram,) = graph_layout.diagrams(templates()["shapes_residual"].project)
    placed = graph_layout.layout(diagram)
    xs = [x for x, _ in placed.places.values()]
    assert max(xs) - min(xs) < 1
    assert sum(len(route) > 2 for route in placed.routes) == 1, "the way around"
