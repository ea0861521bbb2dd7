"""`netloom initialize`: how the weights of a document start."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from netloom.cli.command import Command, Context
from netloom.cli.text import table
from netloom.core.errors import UsageError
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.document import Project

# Those of `netloom.document.initialization`, which imports pydantic, too slow for the help of all commands.
METHODS = (
    "normal", "truncated_normal", "uniform", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal",
    "orthogonal", "zeros", "identity",
)  # fmt: skip
# Removes the setting.
NONE = "none"


class Initialize(Command):
    """Sets the initialization of a network or of a layer of a document, or shows all settings."""

    name = "initialize"
    summary = "set or show the initialization of a document's weights"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file", metavar="FILE", help="project document, as written by the app or `netloom templates`"
        )
        parser.add_argument(
            "method",
            nargs="?",
            choices=[*METHODS, NONE],
            metavar="METHOD",
            help=f"{', '.join(METHODS)}, or {NONE} to remove the setting (default: show all settings)",
        )
        parser.add_argument("--network", metavar="NAME", help="network of the document (default: the main network)")
        parser.add_argument(
            "--layer", metavar="ID", help="layer of the network (default: all layers without a setting)"
        )
        parser.add_argument(
            "--std", type=float, help="standard deviation of normal and truncated_normal, above 0 (default: 0.02)"
        )
        parser.add_argument("--bound", type=float, help="bound of uniform, above 0 (default: 0.1)")
        parser.add_argument(
            "--gain", type=float, help="factor of xavier, kaiming and orthogonal (default: 1, for kaiming √2)"
        )
        parser.add_argument("--fan", choices=("in", "out"), help="fan of kaiming (default: in)")
        parser.add_argument(
            "--residual",
            action="store_true",
            help="divide the last layer of each residual branch by the square root of the number of branches",
        )
        parser.add_argument(
            "--bias", choices=("zeros", "default"), default="zeros", help="initial biases (default: zeros)"
        )

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.document import EditError, apply, read, write

        project = read(arguments.file)
        name = arguments.network or project.main
        if name not in project.networks:
            raise UsageError(f"There is no network {plain(name)[:60]!r}; choose one of {', '.join(project.networks)}.")
        if arguments.method is None:
            rows = _settings(project)
            value = [dict(zip(("network", "layer", "initialization"), row, strict=True)) for row in rows]
            text = (
                table(("network", "layer", "initialization"), rows)
                if rows
                else "All layers have the defaults of PyTorch."
            )
            context.answer(value, text)
            return 0
        nodes = project.networks[name].nodes
        if arguments.layer is not None and arguments.layer not in nodes:
            raise UsageError(
                f"The network {name} has no layer {plain(arguments.layer)[:60]!r}; it has {', '.join(nodes) or 'none'}."
            )
        setting = _setting(arguments)
        edit: dict[str, Any] = {"kind": "initialize", "network": name, "initialization": setting}
        if arguments.layer is not None:
            edit = {**edit, "kind": "update", "node": arguments.layer}
        try:
            changed = apply(project, edit)
        except EditError as error:
            raise UsageError(str(error)) from None
        write(arguments.file, changed)
        target = f"{name}.{arguments.layer}" if arguments.layer is not None else name
        context.answer(
            {"file": arguments.file, "place": target, "initialization": setting},
            f"Wrote the initialization of {target} into {arguments.file}.",
        )
        return 0


def _setting(arguments: Namespace) -> dict[str, Any] | None:
    if arguments.method == NONE:
        return None
    options = {name: getattr(arguments, name) for name in ("std", "bound", "gain", "fan")}
    options = {name: value for name, value in options.items() if value is not None}
    return {"method": arguments.method, **options, "residual": arguments.residual, "bias": arguments.bias}


def _settings(project: Project) -> list[tuple[str, str, str]]:
    """Return the settings of all networks and layers that have one."""
    rows = []
    for name, network in project.networks.items():
        if network.initialization is not None:
            rows.append((name, "", network.initialization.sentence()))
        rows += [
            (name, key, node.initialization.sentence())
            for key, node in network.nodes.items()
            if node.initialization is not None
        ]
    return rows
