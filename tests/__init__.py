"""The tests. Threads are capped before torch is imported: two busy threads too many cost twentyfold."""

import os
import sys

THREADS = 1
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = str(THREADS)
# Other tests use all cores, and a run that gets only what they leave does not end within the time that a test waits.
os.environ["NETLOOM_RUN_NICENESS"] = "0"
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 (Ray's name; its default is 15)
# Containers often forbid to keep compiled code; each process that a test starts would compile all of Netloom anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
