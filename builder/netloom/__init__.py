"""Netloom: design, train, explain and export neural networks.

>>> import netloom
>>> run = netloom.train(netloom.open_project("digits_mlp"))
>>> netloom.evaluate(run).metrics

The functions are those of `netloom.api`, which is imported, with torch and pandas, when one of them is first used.
"""

from __future__ import annotations

__version__ = "0.2.0"

__all__ = [
    "__version__",
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

TYPE_CHECKING = False  # type checkers treat it as True; importing it from typing would take twenty times as long
if TYPE_CHECKING:
    from netloom.api import (
        add_data,
        apply_calibration,
        build_module,
        calibrate,
        check,
        create_project,
        evaluate,
        explain_prediction,
        export_run,
        generate_source,
        list_datasets,
        list_templates,
        load_run,
        open_project,
        predict,
        train,
    )
else:  # hidden from type checkers, which would otherwise accept every name as an attribute

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from netloom import api

        function = globals()[name] = getattr(api, name)
        return function


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
