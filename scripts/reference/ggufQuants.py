"""Random blocks of every GGUF storage type and the float32 values that the Python package `gguf` makes of them.

    python scripts/reference/ggufQuants.py        writes test/reference/gguf-quants.json

`blocks` is the bytes of the blocks, `values` little-endian float32, both base64. Seeded: the file is made again byte for byte.
"""
import base64
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

OUT = Path(__file__).parents[2] / "test/reference/gguf-quants.json"
# Byte offsets of the float16 numbers in a block; everything else may be any byte.
HALVES = {"F16": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}


def main():
    random = np.random.default_rng(20260101)
    types = {}
    for name in ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]:
        kind = GGMLQuantizationType[name]
        elements, size = GGML_QUANT_SIZES[kind]
        count = max(3, 96 // elements)
        blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
        if name in ("F32", "BF16"):
            floats = random.normal(0, 3, count).astype(np.float32)
            bits = floats.view(np.uint32)
            blocks = floats.view(np.uint8) if name == "F32" else (bits >> 16).astype(np.uint16).view(np.uint8)
        for offset in HALVES.get(name, []):
            # Ordinary scales, and the corners: both zeros, the smallest and largest subnormal, the largest half.
            scales = random.normal(0, 0.1, count).astype(np.float16)
            if name == "F16":
                scales[:6] = np.array([0x0000, 0x8000, 0x0001, 0x83FF, 0x7BFF, 0xFBFF], np.uint16).view(np.float16)
            blocks[:, offset:offset + 2] = scales.view(np.uint8).reshape(count, 2)
        values = dequantize(blocks.reshape(-1), kind).astype("<f4").reshape(-1)
        assert values.size == count * elements and np.isfinite(values).all()
        types[name] = {"elements": int(values.size), "blocks": base64.b64encode(blocks.tobytes()).decode(),
                       "values": base64.b64encode(values.tobytes()).decode()}
    OUT.write_text(json.dumps({"reference": f"gguf {version('gguf')}", "types": types}, indent=1) + "\n")


main()
