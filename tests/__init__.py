"""The tests. Threads are capped before torch is imported: two busy threads too many cost twentyfold."""

import os

THREADS = 1
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = str(THREADS)
