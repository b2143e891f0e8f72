"""Arrays in JSON: `{dims, f32}` with little-endian float32 in base64; and JSON written in one move."""
import base64
import json
import os
import platform
from pathlib import Path

import gguf  # noqa: F401  (its version is recorded)
import numpy as np
import tokenizers
import torch
import transformers
from importlib.metadata import version


def pack(array) -> dict:
    array = np.asarray(array.detach().cpu() if torch.is_tensor(array) else array)
    return {"dims": list(array.shape), "f32": base64.b64encode(np.ascontiguousarray(array, dtype="<f4").tobytes()).decode()}


def made_with() -> dict:
    return {"script": "scripts/reference/makeReference.py", "python": platform.python_version(), "torch": torch.__version__,
            "transformers": transformers.__version__, "tokenizers": tokenizers.__version__, "gguf": version("gguf"),
            "dtype": "float32", "attention": "eager"}


def write_json(path: Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    os.replace(temporary, path)
    print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")
