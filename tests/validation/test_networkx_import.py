"""Neither the analysis of an ordinary document nor the import of drawings imports networkx, which takes long."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
import netloom.export.graph_layout
print("networkx" in sys.modules)
from netloom.templates import templates
from netloom.validation import analyse
for template in list(templates().values())[:3]:
    assert not analyse(template.project).errors
print("networkx" in sys.modules)
"""


def test_neither_drawing_nor_analysis_imports_networkx() -> None:
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]
