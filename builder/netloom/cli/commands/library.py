"""`netloom library`: published networks, and the built-in blocks."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.cli.command import Command, Context, add_action
from netloom.cli.text import format_time, number, table
from netloom.core.errors import UsageError

if TYPE_CHECKING:
    from netloom.document import Project
    from netloom.store import Store


class Library(Command):
    """Lists, publishes, uses and deletes networks of the library."""

    name = "library"
    summary = "publish networks and use them in other documents"

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="list|publish|use|delete", required=True)
        add_action(actions, "list", "list your networks and the built-in blocks")
        publish = add_action(actions, "publish", "publish a network of a document")
        publish.add_argument("file", metavar="FILE", help="project document")
        publish.add_argument("network", metavar="NETWORK", help="name of a network of the document")
        publish.add_argument(
            "--name", metavar="NAME", default="", help="name in the library (default: the name of the network)"
        )
        publish.add_argument("--force", action="store_true", help="replace an existing network of this name")
        use = add_action(actions, "use", "add a network of the library to a document")
        use.add_argument("network", metavar="NAME", help="name in the library")
        use.add_argument("file", metavar="FILE", help="project document, which is changed")
        delete = add_action(actions, "delete", "delete a network from the library; documents are not changed")
        delete.add_argument("network", metavar="NAME", help="name in the library")

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.store import open_store

        actions = {"list": _list, "publish": _publish, "use": _use, "delete": _delete}
        store = open_store(context.home)
        try:
            actions[arguments.action](store, arguments, context)
        finally:
            store.close()
        return 0


def _list(store: Store, arguments: Namespace, context: Context) -> None:
    from netloom.templates.shelf import blocks, summary

    published = [
        {"name": row.name, "ready": False, **row.summary, "updated_at": row.updated_at.isoformat()}
        for row in store.library()
    ]
    built_in = [{"name": name, "ready": True, **summary(block.bundle)} for name, block in blocks().items()]
    published_at = {row.name: format_time(row.updated_at) for row in store.library()}
    rows = [
        (row["name"], published_at.get(row["name"], "built-in block"), *_size_cells(row))
        for row in [*published, *built_in]
    ]
    context.answer(
        [*published, *built_in], table(("name", "published", "parameters", "weights"), rows, right=("weights",))
    )


def _size_cells(row: dict[str, Any]) -> tuple[str, str]:
    parameters = " ".join(f"{name}={number(value)}" for name, value in row.get("parameters", {}).items())
    size = row.get("size")
    return parameters, "?" if size is None else number(size)


def _publish(store: Store, arguments: Namespace, context: Context) -> None:
    from netloom.document import read
    from netloom.document.network_bundle import extract
    from netloom.store import NameTakenError
    from netloom.templates.shelf import blocks, summary

    project = read(arguments.file)
    if arguments.network not in project.networks:
        names = ", ".join(project.networks)
        raise UsageError(f"There is no network {arguments.network[:60]!r} in this project; choose one of {names}.")
    bundle = extract(project, arguments.network, arguments.name)
    if bundle.main in blocks():
        raise UsageError(f"{bundle.main} is a built-in block; publish yours under another name, with --name.")
    facts = summary(bundle)
    try:
        row = store.publish(bundle, facts, replace=arguments.force)
    except NameTakenError as error:
        raise UsageError(f"{error} Use --force to replace it, or --name NAME.") from None
    text = f"Published {row.name}{' (replaced the existing one)' if row.number > 1 else ''}."
    context.answer({"name": row.name, "number": row.number, **facts}, text)


def _use(store: Store, arguments: Namespace, context: Context) -> None:
    from netloom.document import read, write
    from netloom.document.network_bundle import insert

    project = read(arguments.file)
    project_with_network, names = insert(project, _bundle(store, arguments.network))
    write(Path(arguments.file), project_with_network)
    name = list(names.values())[-1]
    new = [key for key in project_with_network.networks if key not in project.networks]
    text = f"Added {', '.join(new)} to {arguments.file}." if new else f"{arguments.file} has {name} already."
    context.answer({"file": arguments.file, "network": name, "new": new}, text)


def _delete(store: Store, arguments: Namespace, context: Context) -> None:
    if not store.delete_published(arguments.network):
        raise UsageError(f"There is no network {arguments.network[:60]!r} in the library that you can delete.")
    context.answer({"deleted": arguments.network}, f"Deleted {arguments.network}.")


def _bundle(store: Store, name: str) -> Project:
    """Return a published network, or a built-in block.

    Raises:
        UsageError: the library has no network with this name.
    """
    from netloom.store import NotFoundError
    from netloom.templates.shelf import blocks

    try:
        return store.bundle(name)
    except NotFoundError:
        if name in blocks():
            return blocks()[name].bundle
    raise UsageError(f"There is no network {name[:60]!r} in the library; netloom library list shows all.")
