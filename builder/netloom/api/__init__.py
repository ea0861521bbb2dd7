"""The Python API: the functions of the pages and of the command line.

They are available as `netloom.train(…)`; the package imports this module when one of them is first used. `home` is the
data folder with uploads, projects and runs. The default is `NETLOOM_HOME`, or the folder of the app.
"""

from __future__ import annotations

from netloom.api.data import add_data, list_datasets
from netloom.api.projects import (
    build_module,
    check,
    create_project,
    generate_source,
    list_templates,
    open_project,
)
from netloom.api.runs import (
    apply_calibration,
    calibrate,
    evaluate,
    explain_prediction,
    export_run,
    load_run,
    predict,
    train,
)

__all__ = [
    "add_data",
    "apply_calibration",
    "build_module",
    "calibrate",
    "check",
    "create_project",
    "evaluate",
    "explain_prediction",
    "export_run",
    "generate_source",
    "list_datasets",
    "list_templates",
    "load_run",
    "open_project",
    "predict",
    "train",
]
