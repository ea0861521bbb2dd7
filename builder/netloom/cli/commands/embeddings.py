"""`netloom embeddings`: the activations of a layer for many rows, projected to a plane."""

from __future__ import annotations

import csv
import io
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.cli.command import Command, Context, whole
from netloom.cli.files import add_force_argument, new_file
from netloom.cli.selection import add_checkpoint_argument, add_run_argument, add_seed_argument, load_trained_run
from netloom.cli.text import short, table
from netloom.cli.unused_options import refuse_unused
from netloom.core.errors import UsageError
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.explain.dataset.embedding_map import EmbeddingMap

ROWS, MAX_ROWS = 500, 5_000


class Embeddings(Command):
    """Projects the activations of a layer to a plane, and measures how well each layer separates the labels."""

    name = "embeddings"
    summary = "project the activations of a layer for many rows to a plane (PCA, t-SNE)"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_run_argument(parser)
        parser.add_argument(
            "--node", metavar="PATH", default="", help="layer, such as linear_1 (default: the last before the output)"
        )
        parser.add_argument(
            "--projection", choices=("pca", "tsne"), default="pca", help="projection to the plane (default: pca)"
        )
        parser.add_argument(
            "--split", choices=("train", "validation", "test"), default="test", help="split of the rows (default: test)"
        )
        parser.add_argument(
            "--rows",
            metavar="N",
            type=whole(12, MAX_ROWS),
            default=ROWS,
            help=f"maximum number of rows, sampled with --seed (default: {ROWS})",
        )
        parser.add_argument(
            "--to", metavar="FILE", help="write the points to a file that ends in .csv, or the plot to one in .html"
        )
        add_force_argument(parser)
        add_checkpoint_argument(parser)
        add_seed_argument(parser, "random seed of the rows and of t-SNE")

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.document import write_bytes
        from netloom.explain.dataset.embedding_map import embedding_map
        from netloom.store import open_store

        if arguments.to is None:
            refuse_unused(self, arguments, ["force"], without="--to")
        write = _writer(arguments.to)
        to = new_file(arguments.to, force=arguments.force) if arguments.to is not None else None
        store = open_store(context.home)
        trained = load_trained_run(store, arguments.run, arguments.checkpoint or "")
        embeddings = embedding_map(
            trained,
            arguments.node,
            projection=arguments.projection,
            split=arguments.split,
            rows=arguments.rows,
            seed=arguments.seed,
            folder=store.artifacts(trained.run.id).local_directory() if trained.run else None,
        )
        context.answer(embeddings.as_json(), "\n".join(_lines(embeddings)))
        if write is not None and to is not None:
            write_bytes(to, write(embeddings).encode())
            context.note(f"Wrote {to}.")
        return 0


def _lines(embeddings: EmbeddingMap) -> list[str]:
    rows = [
        (short(layer.title, 40), layer.features, f"{layer.score:.3f}")
        for layer in embeddings.separation
        if layer.score is not None
    ]
    if not rows:
        return [plain(embeddings.sentence)]
    head = ("layer", "activations", "R²" if embeddings.values is not None else "accuracy")
    separation = table(head, rows, right=head[1:])
    return [plain(embeddings.sentence), "", separation, "", plain(embeddings.separation_sentence)]


def _writer(path: str | None) -> Callable[[EmbeddingMap], str] | None:
    """Return the function that makes the text of a file with this ending.

    Raises:
        UsageError: the name does not end in .csv or .html.
    """
    if path is None:
        return None
    writers = {".csv": _csv, ".html": _html}
    write = writers.get(Path(path).suffix.lower())
    if write is None:
        raise UsageError(f"--to {path[:80]!r}: the file must end in .csv or .html; --json prints JSON.")
    return write


def _csv(embeddings: EmbeddingMap) -> str:
    lines, text = embeddings.table(), io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _html(embeddings: EmbeddingMap) -> str:
    from netloom.explain.plots.embedding_plots import plane

    page: str = plane(embeddings, embeddings.labels).to_html()
    return page
