"""The suites of models that are imported."""

from netloom.cli.bench.imports.onnx_files import ONNX
from netloom.cli.bench.imports.timm_models import TIMM
from netloom.cli.bench.imports.torchvision_models import TORCHVISION
from netloom.cli.bench.imports.transformers_models import TRANSFORMERS

SUITES = (ONNX, TORCHVISION, TRANSFORMERS, TIMM)
