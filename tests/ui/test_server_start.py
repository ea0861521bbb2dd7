"""The server listens before it imports the pages, which a browser needs only once it has loaded its own scripts."""

from __future__ import annotations

import subprocess
import sys

from netloom.core.app_files import app_folder

# As the server imports app.py. The packages are those that take the longest to import.
IMPORT = """
import sys
import app

imported = {name.partition(".")[0] for name in sys.modules} | sys.modules.keys()
print(sorted(imported & {"netloom.ui.shell.navigation", "netloom.store", "netloom.runs", "sqlalchemy", "pandas"}))
"""


def test_entry_of_the_server_imports_no_page() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", IMPORT], cwd=app_folder(), capture_output=True, text=True, check=True, timeout=120
    )
    assert answer.stdout.strip() == "[]"
