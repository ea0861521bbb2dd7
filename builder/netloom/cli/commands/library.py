"""`netloom library`: networks that are kept for other documents, and the built-in blocks that come with Netloom."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.cli.command import Command, Context
from netloom.cli.commands.data import action
from netloom.cli.text import moment, number, table
from netloom.core.errors import UsageError

if TYPE_CHECKING:
    from netloom.document import Project
    from netloom.store import Store


class Library(Command):
    """Lists, keeps, takes and deletes networks."""

    name = "library"
    summary = "publish networks and use them in other documents"

    def arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="list|publish|use|delete", required=True)
        action(actions, "list", "list your networks and the built-in blocks")
        publish = action(actions, "publish", "publish a network of a document")
        publish.add_argument("file", metavar="FILE")
        publish.add_argument("network", metavar="NETWORK")
        publish.add_argument(
            "--name", metavar="NAME", default="", help="name in the library (default: the name of the network)"
        )
        publish.add_argument("--force", action="store_true", help="replace an existing network of this name")
        use = action(actions, "use", "add a network of the library to a document")
        use.add_argument("network", metavar="NAME")
        use.add_argument("file", metavar="FILE")
        delete = action(actions, "delete", "delete a network from the library; documents are not changed")
        delete.add_argument("network", metavar="NAME")

    def run(self, asked: Namespace, context: Context) -> int:
        from netloom.store import open_store

        actions = {"list": _list, "publish": _publish, "use": _use, "delete": _delete}
        store = open_store(context.home)
        try:
            actions[asked.action](store, asked, context)
        finally:
            store.close()
        return 0


def _list(store: Store, asked: Namespace, context: Context) -> None:
    from netloom.templates.shelf import blocks, summary

    mine = [
        {"name": row.name, "ready": False, **row.summary, "updated_at": row.updated_at.isoformat()}
        for row in store.library()
    ]
    ready = [{"name": name, "ready": True, **summary(block.bundle)} for name, block in blocks().items()]
    when = {row.name: moment(row.updated_at) for row in store.library()}
    rows = [(row["name"], when.get(row["name"], "built-in block"), *_told(row)) for row in [*mine, *ready]]
    context.answer([*mine, *ready], table(("name", "published", "parameters", "weights"), rows, right=("weights",)))


def _told(row: dict[str, Any]) -> tuple[str, str]:
    exposed = " ".join(f"{name}={number(value)}" for name, value in row.get("parameters", {}).items())
    size = row.get("size")
    return exposed, "?" if size is None else number(size)


def _publish(store: Store, asked: Namespace, context: Context) -> None:
    from netloom.document import read
    from netloom.document.network_bundle import extract
    from netloom.store import Taken
    from netloom.templates.shelf import blocks, summary

    project = read(asked.file)
    if asked.network not in project.networks:
        names = ", ".join(project.networks)
        raise UsageError(f"There is no network {asked.network[:60]!r} in this project; choose one of {names}.")
    bundle = extract(project, asked.network, asked.name)
    if bundle.main in blocks():
        raise UsageError(f"{bundle.main} is a built-in block; publish yours under another name, with --name.")
    told = summary(bundle)
    try:
        row = store.publish(bundle, told, replace=asked.force)
    except Taken as error:
        raise UsageError(f"{error} Use --force to replace it, or --name NAME.") from None
    text = f"Published {row.name}{' (replaced the existing one)' if row.number > 1 else ''}."
    context.answer({"name": row.name, "number": row.number, **told}, text)


def _use(store: Store, asked: Namespace, context: Context) -> None:
    from netloom.document import read, write
    from netloom.document.network_bundle import insert

    project = read(asked.file)
    made, names = insert(project, _bundle(store, asked.network))
    write(Path(asked.file), made)
    name = list(names.values())[-1]
    new = [key for key in made.networks if key not in project.networks]
    text = f"Added {', '.join(new)} to {asked.file}." if new else f"{asked.file} has {name} already."
    context.answer({"file": asked.file, "network": name, "new": new}, text)


def _delete(store: Store, asked: Namespace, context: Context) -> None:
    if not store.delete_published(asked.network):
        raise UsageError(f"There is no network {asked.network[:60]!r} in the library that you can delete.")
    context.answer({"deleted": asked.network}, f"Deleted {asked.network}.")


def _bundle(store: Store, name: str) -> Project:
    """A network of one's own, or a built-in block.

    Raises:
        UsageError: there is neither.
    """
    from netloom.store import Missing
    from netloom.templates.shelf import blocks

    try:
        return store.bundle(name)
    except Missing:
        if name in blocks():
            return blocks()[name].bundle
    raise UsageError(f"There is no network {name[:60]!r} in the library; netloom library list shows all.")
