"""Options that would have no effect are refused before a command does anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import called

CASES = [
    ("export last --include-runtime", "--include-runtime has no effect without --format web; add --format web"),
    ("serve last --burst 5", "--burst has no effect without --rate; add --rate, or leave out --burst."),
    ("serve last --log-days 7", "--log-days has no effect without --log-requests"),
    ("serve last --log-mb 7", "--log-mb has no effect without --log-requests"),
    ("serve last --redact name", "--redact has no effect without --log-requests"),
    ("serve last --model a.onnx --exact", "--exact has no effect with --model"),
    ("serve last --model a.onnx --backend auto", "--backend has no effect with --model"),
    ("serve keys list --rate 5", "--rate has no effect with netloom serve keys; leave out one of them."),
    ("serve keys add phone --host 0.0.0.0", "--host has no effect with netloom serve keys"),
    ("calibrate last --reset --dry-run", "--dry-run has no effect with --reset"),
    ("calibrate last --reset --method platt", "--method has no effect with --reset"),
    ("calibrate last --sets aps", "--sets has no effect without --conformal"),
    ("optimize last --force", "--force has no effect without --to"),
    ("optimize last --sensitivity --threads 2", "--threads has no effect with --sensitivity"),
    ("card last --force", "--force has no effect without --to"),
    ("explain last --force", "--force has no effect without --to"),
    ("explain last --rows 5", "--rows has no effect without --over"),
    ("fit digits_cnn --data iris --force", "--force has no effect without --to"),
    ("import model.onnx --force", "--force has no effect without --to"),
    ("templates --write spirals x.json --task gan", "--task has no effect with --write"),
    ("runs list --descending", "--descending has no effect without --sort"),
    ("templates --force", "--force has no effect without --write"),
    ("check project.json --to other.json", "--to has no effect without --fix"),
    ("check project.json --fix --force", "--force has no effect without --to"),
    ("sweep project.json --force", "--force has no effect without --write-best"),
    ("train project.json --force", "--force has no effect without --job"),
    ("train project.json --image a", "--image has no effect without --job"),
    ("train project.json --workers 2", "--workers has no effect without --backend ray"),
    ("chat last --force", "--force has no effect without --write-policy"),
    ("promote last --over 1a2b --model digits", "--model has no effect without --server"),
]


@pytest.mark.parametrize(("line", "words"), CASES)
def test_an_option_without_an_effect_is_refused(tmp_path: Path, line: str, words: str) -> None:
    done = called("--home", tmp_path / "home", *line.split())
    assert done.code == 2, done.out
    assert words in done.err
    assert not (tmp_path / "home").exists()
