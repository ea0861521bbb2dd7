"""The tests. Threads are capped before torch is imported: two surplus busy threads slow it down twentyfold."""

import os
import sys

THREADS = 1
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = str(THREADS)
# Other tests use all cores, and a run at a lower priority would not finish within the timeout of its test.
os.environ["NETLOOM_RUN_NICENESS"] = "0"
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 (Ray's name; its default is 15)
# Containers often disable .pyc files; each process that a test starts would then compile all of Netloom again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
