"""`netloom data set`: the columns, the preprocessing and the split of a dataset, for new projects."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from netloom.cli.command import Context, OneOf, real, whole
from netloom.cli.training_options import parse_value
from netloom.core.errors import UsageError
from netloom.core.text import plain

if TYPE_CHECKING:
    from pathlib import Path

    from netloom.data import DatasetInfo
    from netloom.data.quality.overview import Column
    from netloom.data.raw_dataset import RawDataset
    from netloom.document import DataChoice

AUTO = "auto"
_COLUMN_SPLIT = "column:"
# Arguments that are fields of the data section of a document.
_FIELDS = ("validation", "validation_of", "test", "folds", "fold", "gap", "seed", "duplicates", "prepare")


def add_set_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments of `netloom data set`."""
    parser.add_argument("name", metavar="NAME", help="built-in name, or id or name of an added dataset")
    parser.add_argument(
        "--column",
        metavar="COLUMN=KIND[:VALUE]",
        action="append",
        default=[],
        help="kind and preprocessing of a column, such as age=number:standard, town=category:index, "
        "price=number:log1p:impute=mean:indicator=true, note=text, or age=:minmax for the same kind; a column that was "
        "left out becomes an input; age=auto resets it; repeatable",
    )
    parser.add_argument(
        "--role",
        metavar="COLUMN=ROLE",
        action="append",
        default=[],
        help="role of a column: input, target, group, weight, time, split or ignore; repeatable",
    )
    parser.add_argument(
        "--target", metavar="COLUMN", action="append", default=[], help="column to predict; repeatable for several"
    )
    parser.add_argument(
        "--field",
        metavar="FIELD.SETTING=VALUE",
        action="append",
        default=[],
        help="preprocessing of a field of images, series or texts, such as image.normalize=unit; repeatable",
    )
    parser.add_argument(
        "--option",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="option of the dataset, such as window=48, size=32 or task=regression; auto resets it; repeatable",
    )
    _add_split_arguments(parser)
    parser.add_argument("--duplicates", choices=("keep", "drop"), help="keep all identical rows, or one of them")
    parser.add_argument(
        "--prepare",
        choices=("none", "scale", "standardize"),
        help="preprocessing of numbers and pixels without their own setting",
    )
    parser.add_argument("--reset", action="store_true", help="remove all settings first, also those of fixes")


def _add_split_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--split",
        metavar="METHOD",
        type=OneOf(lambda: [*_methods(), f"{_COLUMN_SPLIT}NAME"]),
        help="method of the split, or the column with train, validation or test in each row",
    )
    parser.add_argument(
        "--validation",
        metavar="SHARE",
        type=real,
        help="share of validation rows among the rows that are not test rows, up to 0.5; 0: train on these rows, too",
    )
    parser.add_argument(
        "--validation-of", choices=("rows", "training"), help="count --validation from all rows, or without test rows"
    )
    parser.add_argument("--test", metavar="SHARE", type=real, help="share of test rows among all rows, up to 0.5")
    parser.add_argument(
        "--folds", metavar="N", type=whole(1, 100), help="number of cross-validation folds; 1: a single split"
    )
    parser.add_argument("--fold", metavar="N", type=whole(0, 99), help="fold that is tested, counted from 0")
    parser.add_argument(
        "--gap",
        metavar="ROWS",
        type=whole(0, 1_000_000),
        help="rows that are left out between the parts of a split by time",
    )
    parser.add_argument("--seed", metavar="SEED", type=whole(0, 2**31 - 1), help="random seed of the split")


def set_data(arguments: Namespace, context: Context) -> DatasetInfo:
    """Save the settings of a dataset as the default of new projects. Returns the dataset.

    Raises:
        UsageError: a name or a value does not exist.
        DataError: the data cannot be read with these settings; nothing was saved.
    """
    from netloom.data import prepare
    from netloom.data.dataset_lookup import find_dataset
    from netloom.data.preparation.project_defaults import default_choice, initial_choice, set_default_choice, take_back

    info = find_dataset(context.home, arguments.name)
    before = initial_choice(info.name, context.home) if arguments.reset else default_choice(info.name, context.home)
    choice = _changed(before, arguments, context.home)
    _refuse_unread(prepare(choice, context.home).raw, choice, arguments)
    if arguments.reset:
        take_back(info.name, context.home)
    set_default_choice(choice, context.home)
    context.note(f"New projects with {plain(info.title)!r} use these settings.")
    return info


def _refuse_unread(raw: RawDataset, choice: DataChoice, arguments: Namespace) -> None:
    """Refuse settings of the split that have no effect.

    Raises:
        UsageError: there is one.
    """
    from netloom.data.splits.unread_settings import unread_settings

    for name, reason in unread_settings(raw, choice).items():
        if getattr(arguments, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} has no effect, because {reason}; leave it out.")


def _changed(choice: DataChoice, arguments: Namespace, home: Path) -> DataChoice:
    """Return the choice with the settings of the command line."""
    from netloom.document import EditError, updated

    fields = {name: getattr(arguments, name) for name in _FIELDS}
    values = {name: value for name, value in fields.items() if value is not None}
    if arguments.validation is not None:
        values.setdefault("validation_of", "training")
    if arguments.folds is not None:
        values |= {"folds": arguments.folds if arguments.folds > 1 else None, "fold": arguments.fold or 0}
    if arguments.split is not None:
        values["split"] = _method(arguments.split)
    try:
        choice = updated(choice, values, "setting")
        # Fields and options first: an option can decide which columns there are.
        choice = updated(choice, {"options": _options(choice.options, arguments)})
        return updated(choice, {"options": _column_options(choice, arguments, home)})
    except EditError as error:
        raise UsageError(str(error)) from None


def _options(options: Mapping[str, Any], arguments: Namespace) -> dict[str, Any]:
    """Return the options with those of `--option` and `--field`."""
    from netloom.data.settings.column_settings import FIELDS
    from netloom.document.former_names import FORMER_FIELD_SETTINGS, FORMER_SETTINGS

    changed = dict(options)
    for text in arguments.option:
        name, value = _assignment(text, "--option", "NAME=VALUE")
        name = FORMER_SETTINGS["data.options"].get(name, name)
        changed[name] = parse_value(value)
        if value == AUTO:
            del changed[name]
    fields = {name: dict(settings) for name, settings in changed.get(FIELDS, {}).items()}
    for text in arguments.field:
        path, value = _assignment(text, "--field", "FIELD.SETTING=VALUE")
        name, dot, setting = path.rpartition(".")
        if not dot:
            raise UsageError(f"--field is written FIELD.SETTING=VALUE; received {plain(text)[:60]!r}.")
        setting = FORMER_FIELD_SETTINGS.get(setting, setting)
        settings = fields.setdefault(name, {})
        settings[setting] = parse_value(value)
        if value == AUTO:
            del settings[setting]
    fields = {name: settings for name, settings in fields.items() if settings}
    remaining = {name: value for name, value in changed.items() if name != FIELDS}
    return {**remaining, FIELDS: fields} if fields else remaining


def _column_options(choice: DataChoice, arguments: Namespace, home: Path) -> Mapping[str, Any]:
    """Return the options with the settings of `--column`, `--role`, `--target` and `--split column:NAME`."""
    from netloom.data import schema
    from netloom.data.import_questions import import_questions
    from netloom.data.quality.column_changes import with_changed_columns, with_targets
    from netloom.data.quality.overview import columns
    from netloom.data.settings.column_settings import COLUMNS
    from netloom.data.uploads.tabular import SPLIT

    split = (arguments.split or "").removeprefix(_COLUMN_SPLIT) if _names_column(arguments.split) else ""
    if not (arguments.column or arguments.role or arguments.target or split):
        return choice.options
    table_columns = columns(choice, home)
    column_questions = import_questions(choice, home)
    if not table_columns and column_questions.questions and not arguments.column:
        answers = {**choice.options, **(column_questions.with_targets(arguments.target) if arguments.target else {})}
        for text in arguments.role:
            name, role = _assignment(text, "--role", "COLUMN=ROLE")
            answers |= column_questions.with_role(_role(role), name)
        return {**answers, **(column_questions.with_role(SPLIT.name, split) if split else {})}
    if not table_columns:
        raise UsageError(
            "This dataset does not have columns; set the preprocessing of its fields with --field, and its import with "
            "--option."
        )
    by_name = {column.name: column for column in table_columns}
    changes: dict[str, dict[str, Any]] = {}
    resets = set()
    for text in arguments.column:
        name, value = _of_column(text, "--column", "COLUMN=KIND[:VALUE]", by_name)
        if value == AUTO:
            resets.add(name)
        else:
            changes.setdefault(name, {}).update(_settings(by_name[name], value))
            if by_name[name].remark and by_name[name].choice.role is None:  # left out by inference
                changes[name]["role"] = "input"
    for text in arguments.role:
        name, value = _of_column(text, "--role", "COLUMN=ROLE", by_name)
        changes.setdefault(name, {})["role"] = _role(value)
    if split:
        _known(split, by_name, "column", "this dataset")
        changes |= {column.name: {"role": None} for column in table_columns if column.choice.role == "split"}
        changes.setdefault(split, {})["role"] = "split"
    spec = schema(choice, home) if changes else None
    options: Mapping[str, Any] = choice.options
    if resets:
        remaining = {name: settings for name, settings in options.get(COLUMNS, {}).items() if name not in resets}
        options = {**options, COLUMNS: remaining}
        table_columns = columns(choice.model_copy(update={"options": options}), home)
    if changes:
        is_number = spec is not None and spec.target.type.is_number
        options = with_changed_columns(options, table_columns, changes, predicts_numbers=is_number)
    if not arguments.target:
        return options
    for name in arguments.target:
        _known(name, by_name, "column", "this dataset")
    table_columns = columns(choice.model_copy(update={"options": options}), home)
    return with_targets(options, table_columns, arguments.target, options.get("task"))


def _settings(column: Column, value: str) -> dict[str, Any]:
    """Return the settings of `KIND[:VALUE][:SETTING=VALUE…]`."""
    from netloom.modalities.columns.registry import column_kind, column_kinds

    word, *parts = value.split(":")
    kinds = {name: name for name in column_kinds()}
    kinds |= {synonym: name for name, kind in column_kinds().items() for synonym in kind.synonyms}
    if word:
        _known(word, kinds, "kind of column", "Netloom")
    settings: dict[str, Any] = {"kind": kinds[word]} if word else {}
    kind = column_kind(kinds[word] if word else column.kind)
    for part in parts:
        name, equals, text = part.partition("=")
        if equals:
            settings[_known(name, kind.settings.model_fields, "setting", f"the kind {kind.name}")] = parse_value(text)
            continue
        choices = kind.preprocessing.labels.values() if kind.preprocessing.setting else ()
        _known(part, choices, "preprocessing", f"the kind {kind.name}")
        settings[str(kind.preprocessing.setting)] = part
    return settings


def _role(word: str) -> str:
    from netloom.data.settings.column_settings import Role

    return _known(word, get_args(Role), "role", "Netloom")


def _methods() -> list[str]:
    from netloom.document import DataChoice

    return list(get_args(DataChoice.model_fields["split"].annotation))


def _method(text: str) -> str:
    """Return the method of `--split`."""
    if _names_column(text):
        return "given"
    return _known(text, _methods(), "split method", "Netloom")


def _names_column(split: str | None) -> bool:
    return split is not None and split.startswith(_COLUMN_SPLIT)


def _of_column(text: str, option: str, form: str, known: Mapping[str, object]) -> tuple[str, str]:
    """Split `COLUMN=VALUE`. The name of a column may contain an equals sign.

    Raises:
        UsageError: there is no such column.
    """
    matches = [name for name in known if text.startswith(f"{name}=")]
    if matches:
        name = max(matches, key=len)
        return name, text[len(name) + 1 :]
    name, value = _assignment(text, option, form)
    return _known(name, known, "column", "this dataset"), value


def _assignment(text: str, option: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"{option} is written {form}; received {plain(text)[:60]!r}.")
    return name.strip(), value.strip()


def _known(name: str, names: Sequence[str] | Any, noun: str, owner: str) -> str:
    """Return a name that must exist.

    Raises:
        UsageError: it does not; the sentence suggests the nearest one.
    """
    from netloom.core.field_errors import unknown_name

    if name not in names:
        raise UsageError(plain(unknown_name(name, names, noun, owner)))
    return name
