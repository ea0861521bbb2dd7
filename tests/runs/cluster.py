"""A Ray cluster on this machine for tests: `python -m tests.runs.cluster FOLDER`, until its standard input closes."""

from __future__ import annotations

import os
import sys

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_TRAIN_V2_ENABLED": "1"}
# A Python process per CPU for tasks of this driver, which has none.
os.environ["RAY_prestart_worker_first_driver"] = "0"  # noqa: SIM112 (Ray's name)


def serve(folder: str) -> None:
    """Start a cluster with 2 CPUs, print its address, and shut it down when standard input closes."""
    import ray

    ray.init(
        num_cpus=2,
        num_gpus=0,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100 * 2**20,
        _temp_dir=folder,
        _node_ip_address="127.0.0.1",
    )
    print(ray.get_runtime_context().gcs_address, flush=True)
    sys.stdin.read()
    ray.shutdown()


if __name__ == "__main__":
    serve(sys.argv[1])
