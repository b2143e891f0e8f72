#!/usr/bin/env python3
"""Makes test/reference/rotary-swap.json: logits of rotary models with the positions of two tokens exchanged.

    python scripts/reference/rotarySwap.py

Hugging Face's own modules, float64, `position_ids` exchanged and an explicit causal mask, so that only the angles change.
"""
import os
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
import torch
from transformers import AutoModelForCausalLM

from packed import made_with, write_json

ROOT = Path(__file__).parents[2]
MODELS = ["gpt-neox", "llama-tied", "llama-untied-llama3", "llama-yarn", "qwen2"]
IDS, PAIR = [3, 17, 5, 29, 11, 8, 23, 2, 19], (2, 5)


def logits(folder: Path, positions: list[int]) -> list[float]:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
    n = len(IDS)
    mask = torch.full((1, 1, n, n), torch.finfo(torch.float64).min, dtype=torch.float64).triu(1)
    with torch.no_grad():
        out = model(torch.tensor([IDS]), attention_mask=mask, position_ids=torch.tensor([positions]), use_cache=False)
    return [round(value, 7) for value in out.logits[0, -1].tolist()]


def main() -> None:
    own = list(range(len(IDS)))
    swapped = [PAIR[1] if i == PAIR[0] else PAIR[0] if i == PAIR[1] else i for i in own]
    folder = lambda name: ROOT / "test/reference/models" / name
    models = {name: {"clean": logits(folder(name), own), "swapped": logits(folder(name), swapped)} for name in MODELS}
    write_json(ROOT / "test/reference/rotary-swap.json", {"madeWith": made_with(), "ids": IDS, "turnedAs": swapped, "models": models})


main()
