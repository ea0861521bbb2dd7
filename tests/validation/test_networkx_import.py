"""Neither the analysis of an ordinary document nor the import of drawings imports networkx, which takes long."""

from __future__ import annotations

from pathlib import Path

from tests.preloaded import start_python

SCRIPT = """
import sys
import netloom.export.graph_layout
print("networkx" in sys.modules)
from netloom.templates import templates
from netloom.validation import analyze
for template in list(templates().values())[:3]:
    assert not analyze(template.project).errors
print("networkx" in sys.modules)
"""


def test_neither_drawing_nor_analysis_imports_networkx(tmp_path: Path) -> None:
    """In a process that has imported PyTorch already, which takes most of the time."""
    output, errors = tmp_path / "output.txt", tmp_path / "errors.txt"
    process = start_python("-c", SCRIPT, output=output, errors=errors)
    assert process.wait() == 0, errors.read_text(encoding="utf-8")
    assert output.read_text(encoding="utf-8").split() == ["False", "False"]
