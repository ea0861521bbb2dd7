"""`netloom runs list`: the runs with their hyperparameters and metrics, filtered and sorted as on the Runs page."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netloom.cli.command import Context
from netloom.cli.filters import check_filter, known_column
from netloom.cli.text import format_time, number, short, table
from netloom.core.errors import UsageError
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.runs.history.run_search import RunSearch
    from netloom.runs.history.run_table import ColumnFilter, RunTable
    from netloom.store import Run, Store

_ID_SHOWN = 8
FIRST_COLUMNS = ""
ALL_COLUMNS = "all"
# A condition of --where: a column, whose name may contain spaces and dots, an operator, and a value.
_CONDITION = re.compile(r"(?P<column>[^<>=]+?)\s*(?P<operator><=|>=|=)\s*(?P<value>.+)")


@dataclass(frozen=True)
class _Listed:
    """Runs in the order of the list, and their values of the chosen columns of hyperparameters and metrics."""

    runs: list[Run]
    columns: dict[str, list[Any]]


def add_list_arguments(parser: ArgumentParser) -> None:
    """Declare the filters, the columns and the order of the list."""
    parser.add_argument("--search", metavar="TEXT", default="", help="text in title or notes")
    parser.add_argument("--project", metavar="PROJECT", default="", help="name of a project, or beginning of its id")
    parser.add_argument(
        "--state", metavar="STATE", action="append", help="state, such as finished or failed (repeatable)"
    )
    parser.add_argument("--tag", metavar="TAG", action="append", help="tag that the runs have (repeatable)")
    parser.add_argument(
        "--columns",
        metavar="A,B",
        nargs="?",
        const=FIRST_COLUMNS,
        help="show hyperparameters that differ and metrics: names such as 'training.learning_rate,test accuracy', all, "
        "or no name for the first columns of the Runs page",
    )
    parser.add_argument(
        "--where",
        metavar="CONDITION",
        action="append",
        help="condition on a hyperparameter or a metric, such as 'training.learning_rate<=0.01' or "
        "'training.optimizer=adam,sgd' (repeatable)",
    )
    parser.add_argument("--sort", metavar="COLUMN", help="hyperparameter or metric to sort by (default: newest first)")
    parser.add_argument("--descending", action="store_true", help="with --sort: the largest value first")


def check_list_arguments(arguments: Namespace) -> None:
    """Refuse options that have no effect, before the store is opened.

    Raises:
        UsageError: `--descending` has no `--sort`.
    """
    if arguments.action == "list" and arguments.descending and not arguments.sort:
        raise UsageError("--descending has no effect without --sort; add --sort, or leave out --descending.")


def list_runs(store: Store, arguments: Namespace, context: Context) -> None:
    """List the runs that fulfill the conditions of the arguments; without arguments, all."""
    from netloom.runs import ACTIVE, refresh
    from netloom.runs.history.recovery import rebuild_offer
    from netloom.runs.run_lookup import REBUILD

    runs = [refresh(store, run.id) if run.state in ACTIVE else run for run in store.runs()]
    listed = _chosen(store, runs, arguments) if arguments.action == "list" else _Listed(runs, {})
    numbers = [name for name, values in listed.columns.items() if any(isinstance(value, float) for value in values)]
    header = ("id", "started", "state", "step", "best", *listed.columns, "title")
    rows = [
        (
            run.id[:_ID_SHOWN],
            format_time(run.created_at),
            run.state,
            _steps(run),
            _best(run),
            *(_cell(values[index]) for values in listed.columns.values()),
            short(run.title, 40),
        )
        for index, run in enumerate(listed.runs)
    ]
    unlisted = rebuild_offer(store)
    empty = "No runs are listed." if unlisted else "No runs yet; start one with netloom train."
    empty = "No run matches the conditions." if runs else empty
    text = table(header, rows, right=tuple(numbers)) if rows else empty
    if unlisted:
        context.note(f"{unlisted} {REBUILD}")
    context.answer([_value(run, listed.columns, index) for index, run in enumerate(listed.runs)], text)


def _chosen(store: Store, runs: Sequence[Run], arguments: Namespace) -> _Listed:
    """Return the runs that fulfill the conditions in the chosen order, with the chosen columns.

    Raises:
        UsageError: there is no such project, state, tag or column, or a condition cannot be read.
    """
    from netloom.runs.history.run_table import first_columns, matching, order_of, run_table

    runs = list(filter(_search(store, runs, arguments).accepts, runs))
    if not runs or not (arguments.where or arguments.sort or arguments.columns is not None):
        return _Listed(runs, {})
    full_table = run_table(store, runs)
    row_numbers = {run.id: number for number, run in enumerate(runs)}
    runs = matching(full_table, [_condition(full_table, text) for text in arguments.where or ()])

    def values_of(column: str) -> list[Any]:
        return [full_table.values[column][row_numbers[run.id]] for run in runs]

    if arguments.sort:
        values = values_of(known_column("--sort", arguments.sort, full_table.columns))
        runs = [runs[index] for index in order_of(values, descending=arguments.descending)]
    columns: Sequence[str] = [known_column("--columns", name, full_table.columns) for name in _names(arguments.columns)]
    if arguments.columns in (FIRST_COLUMNS, ALL_COLUMNS):
        table_of_listed = run_table(store, runs)  # fewer settings differ between fewer runs
        columns = first_columns(table_of_listed) if arguments.columns == FIRST_COLUMNS else table_of_listed.columns
    return _Listed(runs, {column: values_of(column) for column in columns})


def _names(columns: str | None) -> Sequence[str]:
    if columns in (None, FIRST_COLUMNS, ALL_COLUMNS):
        return ()
    return [name.strip() for name in str(columns).split(",")]


def _search(store: Store, runs: Sequence[Run], arguments: Namespace) -> RunSearch:
    """Return the conditions on the properties of runs."""
    from netloom.runs.history.run_search import RunSearch
    from netloom.store.states import STATES

    for state in arguments.state or ():
        check_filter("--state", state, STATES, "run")
    for tag in arguments.tag or ():
        check_filter("--tag", tag, [tag for run in runs for tag in run.tags], "run")
    project = _project(store, runs, arguments.project) if arguments.project else ""
    return RunSearch(project, tuple(arguments.state or ()), tuple(arguments.tag or ()), arguments.search)


def _project(store: Store, runs: Sequence[Run], text: str) -> str:
    """Return the id of the project with a name or with the beginning of an id; only projects with runs count.

    Raises:
        UsageError: there is none, or more than one.
    """
    names = {row.id: row.name for row in store.list_projects()}
    ids = dict.fromkeys(run.project_id for run in runs)
    matching_ids = [key for key in ids if names.get(key) == text] or [key for key in ids if key.startswith(text)]
    if len(matching_ids) == 1:
        return matching_ids[0]
    if matching_ids:
        shown = ", ".join(key[:_ID_SHOWN] for key in matching_ids)
        raise UsageError(f"--project: {len(matching_ids)} projects match {text[:60]!r}. Choose one by its id: {shown}.")
    known = ", ".join(dict.fromkeys(plain(names.get(key, key[:_ID_SHOWN])) for key in ids))
    raise UsageError(f"--project: no project with runs is called {text[:60]!r}. Choose one of {known}.")


def _condition(run_values: RunTable, text: str) -> ColumnFilter:
    """Return the condition that a text such as `training.epochs>=10` states.

    Raises:
        UsageError: it is not a condition, or there is no such column.
    """
    from netloom.document.former_names import present_value
    from netloom.runs.history.run_table import ColumnFilter

    match = _CONDITION.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"--where: {text[:60]!r} is not a condition; write COLUMN<=NUMBER, COLUMN>=NUMBER or COLUMN=VALUE,VALUE."
        )
    column = known_column("--where", match["column"], run_values.columns)
    operator, value = match["operator"], match["value"].strip()
    if operator == "=" and not (run_values.is_number(column) and "," not in value):
        return ColumnFilter(column, choices=tuple(present_value(column, part.strip()) for part in value.split(",")))
    try:
        limit = float(value)
    except ValueError:
        raise UsageError(f"--where: {column} {operator} needs a number; received {value[:40]!r}.") from None
    return ColumnFilter(column, None if operator == "<=" else limit, None if operator == ">=" else limit)


def _value(run: Run, columns: Mapping[str, Sequence[Any]], index: int) -> dict[str, Any]:
    """Return a run as JSON, with its values of the chosen columns if there are any."""
    names = ("id", "project_id", "title", "state", "reason", "epoch", "step", "total_steps", "tags", "notes")
    times = {name: getattr(run, name) for name in ("created_at", "started_at", "ended_at")}
    return {
        **{name: getattr(run, name) for name in names},
        "summary": run.summary.as_json(),
        **{name: value.isoformat() if value else None for name, value in times.items()},
        **({"columns": {name: values[index] for name, values in columns.items()}} if columns else {}),
    }


def _cell(value: Any) -> str:
    from netloom.runs.history.comparison import shown

    return number(value) if isinstance(value, float) else short(shown(value), 30)


def _steps(run: Run) -> str:
    return f"{run.step}/{run.total_steps}" if run.total_steps else ""


def _best(run: Run) -> str:
    """Return the monitored metric at its best, which selected the weights."""
    best = run.summary.best
    return "" if best is None or best.loss is None else f"{best.measure} {number(best.loss)}"
