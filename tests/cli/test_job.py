"""Job files for clusters: they hold the fields of KubeRay and Slurm, and start the requested training."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from netloom.document import Project, loads, write
from tests.cli.conftest import Console
from tests.runs.examples import moons

# Fields of KubeRay 1.0 and later that are written, and the required ones.
# https://github.com/ray-project/kuberay/blob/master/ray-operator/apis/ray/v1/rayjob_types.go and raycluster_types.go
JOB = {"entrypoint", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "rayClusterSpec", "backoffLimit"}
CLUSTER = {"rayVersion", "headGroupSpec", "workerGroupSpecs"}
HEAD = {"rayStartParams", "template"}
WORKERS = HEAD | {"groupName", "replicas", "minReplicas", "maxReplicas"}
# https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
POD = {"containers", "volumes", "securityContext"}
CONTAINER = {"name", "image", "env", "envFrom", "resources", "volumeMounts"}
# Characters that YAML treats as line breaks, a line that would end the here-document of the script, and shell
# expansions.
NOTES = "a\u0085b\u2028c\nEND_OF_DOCUMENT\n$(touch wrong) `touch wrong` {braces} 'x' \"y\" # z: - |"


def write_job(console: Console, folder: Path, name: str, *more: object, project: Project | None = None) -> str:
    source = folder / "project.json"
    write(source, project or moons().model_copy(update={"name": "Zwei Monde №2 — *so*!", "notes": NOTES}))
    answer = console("train", source, "--backend", "ray", "--workers", 3, *more, "--job", folder / name)
    assert answer.code == 0, answer.err
    return (folder / name).read_text()


def settings(project: Project) -> tuple[str, str, int, int]:
    return project.name, project.notes, project.training.epochs, project.training.seed


def test_rayjob_has_the_fields_of_kuberay(console: Console, tmp_path: Path) -> None:
    text = write_job(
        console, tmp_path, "job.yaml", "--epochs", 7, "--image", "registry.example/it:1", "--device", "cuda"
    )
    config, job = yaml.safe_load_all(text)
    assert (config["apiVersion"], config["kind"]) == ("v1", "ConfigMap")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert config["metadata"]["name"] == job["metadata"]["name"]
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,45}[a-z0-9])?", job["metadata"]["name"])
    document = loads(config["data"]["project.json"])
    assert settings(document) == ("Zwei Monde №2 — *so*!", NOTES, 7, 0)

    assert set(job["spec"]) <= JOB
    assert job["spec"]["entrypoint"] == "netloom train /etc/netloom/project.json --backend ray --workers 3"
    cluster = job["spec"]["rayClusterSpec"]
    assert set(cluster) == CLUSTER
    (workers,) = cluster["workerGroupSpecs"]
    assert set(cluster["headGroupSpec"]) == HEAD
    assert set(workers) == WORKERS
    assert workers["replicas"] == workers["minReplicas"] == workers["maxReplicas"] == 3
    for group, gpu in ((cluster["headGroupSpec"], None), (workers, "1")):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        check_pod(group["template"]["spec"], config["metadata"]["name"], gpu)


def check_pod(pod: dict[str, Any], config: str, gpu: str | None) -> None:
    assert set(pod) == POD
    (container,) = pod["containers"]
    assert set(container) == CONTAINER
    assert container["image"] == "registry.example/it:1"
    assert container["env"] == [{"name": "NETLOOM_HOME", "value": "/netloom"}]
    assert container["resources"]["limits"].get("nvidia.com/gpu") == gpu
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert {"name": "document", "configMap": {"name": config}} in pod["volumes"]


def test_batch_script_trains_its_document_on_all_nodes(console: Console, tmp_path: Path) -> None:
    """With stubs of the Slurm commands that print their arguments."""
    text = write_job(console, tmp_path, "job.sh", "--seed", 5)
    assert "#SBATCH --nodes=3 --tasks-per-node=1 --exclusive\n" in text
    tools, home = tmp_path / "tools", tmp_path / "a home"
    for name, body in {"scontrol": "printf 'n1\\nn2\\nn3\\n'", "srun": 'printf "%s\\n" "$@"'}.items():
        tools.mkdir(exist_ok=True)
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod(0o755)
    home.mkdir()
    variables = {"PATH": f"{tools}:{os.environ['PATH']}", "SLURM_JOB_ID": "17", "SLURM_JOB_NODELIST": "n[1-3]"}
    variables |= {"SLURM_JOB_NUM_NODES": "3", "NETLOOM_HOME": str(home), "NETLOOM_DATABASE_URL": "postgresql://db/it"}
    result = subprocess.run(["bash", tmp_path / "job.sh"], env=variables, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "wrong").exists()
    document = home / "job-17.json"
    assert settings(loads(document.read_text())) == ("Zwei Monde №2 — *so*!", NOTES, 4, 5)
    ray = ["ray", "symmetric-run", "--address", "n1:6379", "--min-nodes", "3", "--"]
    assert result.stdout.splitlines() == [*ray, "netloom", "train", str(document), "--backend", "ray", "--workers", "3"]
    del variables["NETLOOM_HOME"]
    without = subprocess.run(["bash", tmp_path / "job.sh"], env=variables, capture_output=True, text=True)
    assert without.returncode != 0
    assert "NETLOOM_HOME" in without.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--job", "job.yaml"), "has no effect without --backend ray"),
        (("--backend", "ray", "--job", "job.txt"), ".yaml (Kubernetes) or .sh (Slurm)"),
    ],
)
def test_invalid_job_options_are_refused(
    words: tuple[str, ...], message: str, console: Console, tmp_path: Path
) -> None:
    write(tmp_path / "project.json", moons())
    answer = console("train", tmp_path / "project.json", *words)
    assert answer.code == 2
    assert message in answer.err
    assert not list(tmp_path.glob("job.*"))


def test_document_too_large_for_kubernetes_is_refused(console: Console, tmp_path: Path) -> None:
    write(tmp_path / "project.json", moons().model_copy(update={"notes": 100_000 * "💡"}))  # 12 bytes each in ASCII
    answer = console("train", tmp_path / "project.json", "--backend", "ray", "--job", tmp_path / "job.yaml")
    assert answer.code == 1
    assert "a ConfigMap of Kubernetes holds at most 1,000,000" in answer.err
