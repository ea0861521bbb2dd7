"""The environment variables that Netloom reads: name, type, default, range and meaning of each.

`settings` reads a variable each time it is accessed, so that a change takes effect without a restart where possible.
An empty variable counts as unset.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import annotated_types
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, TypeAdapter, ValidationError

from netloom.core.errors import UsageError

PREFIX = "NETLOOM_"
# Strict, because pydantic would otherwise also accept "yes", "on" and "t"
Switch = Annotated[bool, BeforeValidator(lambda raw: {"0": False, "1": True}.get(raw, raw)), Strict()]
Folder = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]
Text = Annotated[str, AfterValidator(str.strip)]
Count = Annotated[int, Field(ge=0, le=10_000)]
CountAboveZero = Annotated[int, Field(ge=1, le=10_000)]
Amount = Annotated[float, Field(gt=0, lt=1e9)]
Factor = Annotated[float, Field(ge=0, lt=1e9)]


class SettingError(UsageError):
    """An environment variable has an invalid value; the message names both and the allowed values."""


def _field(default: Any, meaning: str, otherwise: str = "") -> Any:
    """Return the field of a variable; `otherwise` describes its default in words if that is not a constant."""
    return Field(default, description=meaning, json_schema_extra={"otherwise": otherwise})


class Settings(BaseModel):
    """Each field is the variable NETLOOM_ with its name in capital letters; see `variable`."""

    model_config = ConfigDict(frozen=True)

    home: Folder | None = _field(
        None, "projects, runs and uploads, with a SQLite database beside them", "the user's data folder"
    )
    database_url: Text | None = _field(None, "another database, as an SQLAlchemy URL", "SQLite in the data folder")
    hosts: Text = _field(
        "",
        "additional host names of the server, separated by spaces or commas; `*.example.org` matches all subdomains",
    )
    user_header: Text = _field("", "header in which a proxy passes the user name")
    host: Text | None = _field(
        None, "identifier of the machine, if host names are not unique", "host name and boot ID of the machine"
    )
    workers: CountAboveZero | None = _field(
        None, "number of runs that train at the same time on this machine", "cores − 1, as far as memory allows"
    )
    runs_each: CountAboveZero = _field(1, "number of runs of one user that train at the same time")
    waiting_each: Count = _field(3, "number of runs of one user in the queue")
    gpus: Count | None = _field(None, "number of GPUs for runs", "all GPUs of the machine")
    runs_per_gpu: CountAboveZero = _field(1, "number of runs that share a GPU")
    run_memory_gb: Amount | None = _field(
        None, "memory limit of a run", "90% of the memory for one run at a time, at least 45% for several"
    )
    run_hours: Amount = _field(168.0, "time limit of a run in hours, including pauses")
    run_processes: CountAboveZero = _field(64, "maximum number of processes of a run")
    run_disk_gb: Amount = _field(50.0, "size limit of the folder of a run")
    # The lowest priority. Beside a run, an edit on the canvas takes 1.3 times as long; with SCHED_IDLE it would be 1.2
    # times, but on a busy machine a run would never be scheduled, not even to handle a stop.
    run_niceness: Annotated[int, Field(ge=0, le=19)] = _field(
        19, "priority of a run, from 0 (that of the app) to 19 (only processor time that others do not use)"
    )
    job_workers: CountAboveZero | None = _field(
        None,
        "number of worker processes for interactive explanations and exports, and the maximum for those that take "
        "minutes",
        "2 to 4, by the number of cores",
    )
    job_hours: Amount = _field(2.0, "time limit of an explanation or export in hours")
    job_memory_gb: Amount | None = _field(
        None, "memory limit of a process that explains or exports", "half of the memory"
    )
    kept_bytes: Annotated[int, Field(ge=0)] = _field(
        2**30, "size limit of the checkpoints kept during a run, in bytes", "1 GiB"
    )
    data_memory_mb: Amount = _field(512.0, "size from which a table is stored in files and streamed")
    upload_memory_gb: Amount | None = _field(
        None, "memory limit of the process that reads a file", "2 GiB + 8 × the file"
    )
    upload_quota_mb: Amount = _field(1_000.0, "size limit of uploads of a browser tab that are not yet added")
    upload_total_mb: Amount | None = _field(
        None, "size limit of uploads of all tabs that are not yet added", "a quarter of the memory"
    )
    allow_downloads: Switch | None = _field(None, "allow downloads from the web", "browser: 0, command line: 1")
    allow_private_downloads: Switch = _field(False, "allow downloads from addresses of the private network")
    download_mb: Amount = _field(5_000.0, "size limit of a download")
    allow_code: Switch = _field(False, "allow documents with Python code, which is executed")
    ray_storage: Text | None = _field(None, "storage path of Ray, a folder or `s3://…`", "the data folder")
    # The power of a busy core of a server in watts, with its share of memory and losses.
    core_watts: Factor = _field(12.0, "power of a core in watts, if codecarbon is not installed")
    # The world average: https://ember-energy.org/latest-insights/global-electricity-review-2025
    co2_g_per_kwh: Factor = _field(473.0, "grams of CO₂ per kWh")
    cents_per_kwh: Factor = _field(20.0, "price per kWh")
    country: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = _field(
        "USA", "country code for the electricity of codecarbon"
    )
    server_key: Text = _field("", "API key that `netloom promote` sends to a model server")
    cuda_visible_devices: str | None = _field(None, "GPUs that CUDA can use", "all")
    omp_num_threads: str | None = _field(None, "number of threads of a run", "free cores")


# Variables that other software also reads have no prefix
_FOREIGN = {"cuda_visible_devices": "CUDA_VISIBLE_DEVICES", "omp_num_threads": "OMP_NUM_THREADS"}


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return _FOREIGN.get(name) or PREFIX + name.upper()


def table() -> str:
    """Return all variables as a table in Markdown."""
    lines = ["| variable | default | allowed | meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        extra = cast("dict[str, str]", field.json_schema_extra)
        default = extra["otherwise"] or _written(field.default)
        lines.append(f"| `{variable(name)}` | {default} | {_allowed(name)} | {field.description} |")
    return "\n".join(lines) + "\n"


def check() -> None:
    """Read every variable.

    Raises:
        SettingError: A variable has an invalid value.
    """
    for name in Settings.model_fields:
        getattr(settings, name)


class _Environment:
    """The settings with the current values of the environment."""

    def __getattr__(self, name: str) -> Any:
        if name not in Settings.model_fields:
            raise AttributeError(f"There is no setting {name!r}.")
        raw = os.environ.get(variable(name))
        # An empty CUDA_VISIBLE_DEVICES means no GPU, so that it does not count as unset.
        if raw is None or (not raw.strip() and name != "cuda_visible_devices"):
            return Settings.model_fields[name].default
        return _parsed(name, raw)


settings = cast(Settings, _Environment())


# Settings are read often, but their text rarely changes; the text is the key, so that a change is noticed.
@lru_cache(maxsize=256)
def _parsed(name: str, raw: str) -> Any:
    try:
        return _adapter(name).validate_python(raw)
    except ValidationError:
        raise SettingError(
            f"The environment variable {variable(name)} takes {_allowed(name)}, received {raw[:60]!r}; change or "
            "unset it."
        ) from None


@lru_cache(maxsize=64)
def _adapter(name: str) -> TypeAdapter[Any]:
    field = Settings.model_fields[name]
    kind: Any = field.annotation
    return TypeAdapter(Annotated[(kind, *field.metadata)] if field.metadata else kind)


def _allowed(name: str) -> str:
    """Return the allowed values of a variable, in words."""
    field = Settings.model_fields[name]
    # pydantic moves the bounds of Annotated[int, …] to the field, but leaves those of Annotated[int, …] | None inside.
    kinds = [kind for kind in get_args(field.annotation) or (field.annotation,) if kind is not type(None)]
    base, *bounds = get_args(kinds[0]) if hasattr(kinds[0], "__metadata__") else (kinds[0],)
    rules = [rule for item in (*bounds, *field.metadata) for rule in getattr(item, "metadata", [item])]
    low = next((rule.ge for rule in rules if isinstance(rule, annotated_types.Ge)), None)
    high = next((rule.le for rule in rules if isinstance(rule, annotated_types.Le)), None)
    if base is bool:
        return "0 or 1"
    if base is int:
        return f"a whole number from {low:,} to {high:,}" if high is not None else f"a whole number from {low:,}"
    if base is float:
        return f"a number {'from' if low is not None else 'above'} 0 and below 1,000,000,000"
    if base is Path:
        return "a folder"
    return "three capital letters" if any(hasattr(rule, "pattern") for rule in rules) else "text"


def _written(default: Any) -> str:
    if isinstance(default, bool):
        return str(int(default))
    return f"{default:,.10g}" if isinstance(default, float) else str(default) or "none"
