"""Exports a run as a cluster job of its own: a RayJob for Kubernetes (KubeRay), or a batch script for Slurm.

The job contains the document, so it starts exactly this training. Data, weights and checkpoints are on the shared disk,
and the address of the database comes from the environment. Fields of a RayJob:
https://ray-project.github.io/kuberay/reference/api/
"""

from __future__ import annotations

import json
import re
from importlib.metadata import PackageNotFoundError, version
from textwrap import indent

from netloom.core.text import plain
from netloom.document import Project, to_json
from netloom.training.weights.initialization import StartError

# The paths of the document and of the shared disk in a pod.
DOCUMENT, HOME = "/etc/netloom/project.json", "/netloom"
# The resources that the cluster must provide: a secret with NETLOOM_DATABASE_URL, and a volume claim that all pods can
# write to.
SECRET = CLAIM = "netloom"
MAX_LETTERS = 40  # KubeRay derives pod names from it, which have at most 63 characters
MAX_BYTES = 1_000_000  # Kubernetes limits a ConfigMap to 1 MiB, which includes its metadata
_END = "END_OF_DOCUMENT"  # terminates the here-document, because no line of JSON equals it

_RAYJOB = """\
# kubectl apply -f this file starts the training; kubectl delete -f ends it and takes its pods away.
# The cluster needs KubeRay, the image (Ray, and Netloom with its cluster extra), a secret "{secret}" that holds
# NETLOOM_DATABASE_URL, and a volume claim "{claim}" that is ReadWriteMany and holds the data.
apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
data:
  project.json: |
{document}
---
apiVersion: ray.io/v1
kind: RayJob
metadata:
  name: {name}
spec:
  entrypoint: {entrypoint}
  shutdownAfterJobFinishes: true
  ttlSecondsAfterFinished: 60
  rayClusterSpec:
    rayVersion: {ray}
    headGroupSpec:
      rayStartParams:
        num-cpus: "0"  # it drives the run, and trains nothing itself
      template:
{head}
    workerGroupSpecs:
      - groupName: workers
        replicas: {workers}
        minReplicas: {workers}
        maxReplicas: {workers}
        rayStartParams: {{}}
        template:
{worker}
"""
_POD = """\
spec:
  securityContext:
    fsGroup: 100  # that of Ray's images, which run as another user than root
  containers:
    - name: {name}
      image: {image}
      env:
        - name: NETLOOM_HOME
          value: {home}
      envFrom:
        - secretRef:
            name: {secret}
      resources:
        limits:
          cpu: "1"
          memory: 4Gi{gpu}
      volumeMounts:
        - name: home
          mountPath: {home}
        - name: document
          mountPath: /etc/netloom
  volumes:
    - name: home
      persistentVolumeClaim:
        claimName: {claim}
    - name: document
      configMap:
        name: {job}"""
_SLURM = """\
#!/bin/bash
# sbatch this file starts the training: Ray on all nodes, Netloom on the first, and both end with it.
#SBATCH --job-name={name}
#SBATCH --nodes={workers} --tasks-per-node=1 --exclusive{gpu}
: "${{NETLOOM_HOME:?has to name a folder that all nodes share}}"
: "${{NETLOOM_DATABASE_URL:?has to name a database that all nodes reach}}"
project="$NETLOOM_HOME/job-$SLURM_JOB_ID.json"
cat > "$project" <<'{end}'
{document}
{end}
RAY_ADDRESS=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1):6379
export RAY_ADDRESS
srun ray symmetric-run --address "$RAY_ADDRESS" --min-nodes "$SLURM_JOB_NUM_NODES" -- {entrypoint}
"""


def rayjob(project: Project, workers: int, image: str) -> str:
    """Return a ConfigMap with the document and a RayJob that trains it with this number of workers, as YAML.

    Raises:
        StartError: the document exceeds the size limit of a ConfigMap.
    """
    name, document = _name(project), _document(project)
    if len(document) > MAX_BYTES:
        raise StartError(
            f"This document has {len(document):,} bytes, but a ConfigMap of Kubernetes holds at most {MAX_BYTES:,}; "
            "replace copies of layers with a repeated subnetwork, or start the run from a machine of the cluster."
        )
    common = {"image": json.dumps(image), "home": HOME, "secret": SECRET, "claim": CLAIM, "job": name}
    gpu = '\n          nvidia.com/gpu: "1"' if project.training.device == "cuda" else ""
    head, worker = _POD.format(name="head", gpu="", **common), _POD.format(name="worker", gpu=gpu, **common)
    return _RAYJOB.format(
        name=name,
        secret=SECRET,
        claim=CLAIM,
        document=indent(document, 4 * " "),
        entrypoint=json.dumps(_entrypoint(DOCUMENT, workers)),
        ray=json.dumps(_ray()),
        head=indent(head, 8 * " "),
        worker=indent(worker, 10 * " "),
        workers=workers,
    )


def slurm(project: Project, workers: int) -> str:
    """Return a batch script that trains the document with one worker per node."""
    return _SLURM.format(
        name=_name(project),
        workers=workers,
        gpu=" --gpus-per-node=1" if project.training.device == "cuda" else "",
        document=_document(project),
        end=_END,
        entrypoint=_entrypoint('"$project"', workers),
    )


def _entrypoint(document: str, workers: int) -> str:
    """Return the command that trains a document on the cluster in which it runs."""
    return f"netloom train {document} --backend ray --workers {workers}"


def _document(project: Project) -> str:
    """Return the document in ASCII, because YAML treats some Unicode characters as line breaks."""
    return json.dumps(to_json(project), indent=1, sort_keys=True)


def _name(project: Project) -> str:
    """Return the name of the project in the form that Kubernetes and Slurm allow."""
    letters = re.sub(r"[^a-z0-9]+", "-", plain(project.name).lower())[: MAX_LETTERS - len("netloom-")].strip("-")
    return f"netloom-{letters or 'run'}"


def _ray() -> str:
    """Return the version of Ray that is installed on this machine, or else the minimum version."""
    try:
        return version("ray")
    except PackageNotFoundError:
        return "2.60.0"
