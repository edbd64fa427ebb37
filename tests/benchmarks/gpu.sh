#!/usr/bin/env bash
# What a GPU has to show, in ten minutes, as one JSON: $OUT/gpu.json. Arguments go to gpu.py; --tiny tries it on a CPU.
#
# The machine has Python 3.11 or later, torch, torchvision, timm, pytorch-lightning and torchmetrics. What else it lacks is
# brought along as wheels in the folder $WHEELS, made where there is a network, for the machine's Python:
#   pip download --no-deps --only-binary :all: --python-version 3.12 --dest wheels kornia kornia-rs lightly psutil pydantic \
#     pydantic-core annotated-types typing-inspection pytorch-metric-learning segmentation-models-pytorch pytest iniconfig pluggy
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
export OUT=${OUT:-build/gpu} PYTHONPATH=$PWD PYTHONWARNINGS=ignore
if [ -n "${WHEELS:-}" ]; then
  PIP_BREAK_SYSTEM_PACKAGES=1 "$python" -m pip install --quiet --no-index --no-deps "$WHEELS"/*.whl
fi
missing=$("$python" -c 'if True:
    from importlib.util import find_spec
    names = ("joblib kornia kornia_rs lightly numpy pandas PIL psutil pydantic pytest pytorch_lightning pytorch_metric_learning"
             " requests rich scipy segmentation_models_pytorch timm torch torchmetrics torchvision typer yaml").split()
    print(*(name for name in names if find_spec(name) is None))')
if [ -n "$missing" ]; then
  echo "gpu.sh: this Python lacks $missing: put their wheels into a folder and name it in WHEELS" >&2
  exit 1
fi
exec "$python" tests/benchmarks/gpu.py --out "$OUT/gpu.json" "$@"
