"""Long work beside the pages: a request is computed by a worker process, and several tabs may watch it."""

from netloom.jobs.job import Job, JobCancelledError, JobError
from netloom.jobs.loaded_runs import RunWeights
from netloom.jobs.request import Context, Request, kinds
from netloom.jobs.worker_pool import Pool, pool, warm

__all__ = [
    "Context",
    "Job",
    "JobCancelledError",
    "JobError",
    "Pool",
    "Request",
    "RunWeights",
    "kinds",
    "pool",
    "warm",
]
