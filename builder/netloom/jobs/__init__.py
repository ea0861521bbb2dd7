"""Jobs: long work beside the pages. A worker process computes a request, and several tabs can wait for it."""

from netloom.core.errors import JobError
from netloom.jobs.delegation import delegate
from netloom.jobs.job import Job, JobCancelledError
from netloom.jobs.loaded_runs import RunWeights
from netloom.jobs.request import Context, Request, kinds
from netloom.jobs.workers.worker_pool import Pool, computed, is_warm, pool, warm

__all__ = [
    "Context",
    "Job",
    "JobCancelledError",
    "JobError",
    "Pool",
    "Request",
    "RunWeights",
    "computed",
    "delegate",
    "is_warm",
    "kinds",
    "pool",
    "warm",
]
