"""Models leave the project: as ONNX, or as safetensors, with class names, size and normalisation inside."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from marsnb.errors import DataError, MarsnbError
from marsnb.training.load import Model

FORMATS = ("onnx", "safetensors")


def facts(model: Model) -> dict[str, str]:
    """What a user of the file has to know, as texts: classes, size, range and normalisation of the input."""
    owner = getattr(model.module, "backbone", model.module)
    return {
        "run_id": model.run_id,
        "task": model.spec.task,
        "method": model.spec.method,
        "backbone": model.spec.backbone,
        "class_names": json.dumps(list(model.class_names)),
        "image_size": str(model.spec.image_size),
        "input": "RGB in [0, 1], squashed to a square; the model normalises by itself",
        "mean": json.dumps([round(v, 6) for v in owner.input_mean.flatten().tolist()]),
        "std": json.dumps([round(v, 6) for v in owner.input_std.flatten().tolist()]),
    }


def export(model: Model, path: Path, kind: str) -> Path:
    """Write a model for use elsewhere: its file's path.

    As ``onnx`` it goes from images to class probabilities, batch size free; as ``safetensors`` it is weights alone.

    Raises:
        DataError: an unknown format.
        MarsnbError: the packages of the extra ``export`` are missing.
    """
    if kind not in FORMATS:
        raise DataError(f"unknown format {kind!r}; known: {', '.join(FORMATS)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        {"onnx": _onnx, "safetensors": _safetensors}[kind](model, partial)
        partial.replace(path)
    except ImportError as error:
        raise MarsnbError(f"export to {kind} needs {error.name}: pip install 'marsnb[export]'") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def _onnx(model: Model, path: Path) -> None:
    import onnx
    import onnxscript  # noqa: F401  torch's exporter needs it

    size = model.spec.image_size
    example = torch.rand(2, 3, size, size)
    module: Any = nn.Sequential(model.module.to(memory_format=torch.contiguous_format), nn.Softmax(dim=1)).eval()
    program = torch.onnx.export(
        module, (example,), input_names=["images"], output_names=["probabilities"],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},), dynamo=True, verbose=False,
    )  # fmt: skip
    assert program is not None
    proto = program.model_proto
    onnx.helper.set_model_props(proto, facts(model))
    onnx.save(proto, str(path))


def _safetensors(model: Model, path: Path) -> None:
    from safetensors.torch import save

    weights = {name: tensor.detach().contiguous().clone() for name, tensor in model.module.state_dict().items()}
    path.write_bytes(save(weights, metadata=facts(model)))  # save_file hides what the disk says in an error of its own
