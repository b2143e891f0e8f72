#!/usr/bin/env python3
"""Models of the benchmark as Hugging Face folders in float32.

    python bench/makeModels.py OUT [--gguf SmolLM2-135M-Instruct.Q4_1.gguf]

OUT/random-gpt2   the shape of GPT-2 small (12 layers, d_model 768, vocabulary 50,257), random weights, seed 0
OUT/smollm2-f32   the GGUF file, dequantised
"""
import argparse
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("out", type=Path)
parser.add_argument("--gguf", type=Path)
args = parser.parse_args()


def finished(folder: Path) -> bool:
    return (folder / "model.safetensors").exists() and (folder / "tokenizer.json").exists()


def make_random(folder: Path) -> None:
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config())
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    model.save_pretrained(folder)
    # The jobs are token ids. A byte-level tokenizer with fill-up entries makes the folder a whole model.
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = alphabet + [f"<unused{i}>" for i in range(50257 - len(alphabet))]
    tokenizer = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))


def make_smollm2(folder: Path) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "scripts" / "reference"))
    from gguf import GGUFReader

    from ggufModel import load_model, load_tokenizer

    reader = GGUFReader(args.gguf)
    load_model(reader).save_pretrained(folder)
    load_tokenizer(reader).save(str(folder / "tokenizer.json"))


if not finished(args.out / "random-gpt2"):
    make_random(args.out / "random-gpt2")
if args.gguf and not finished(args.out / "smollm2-f32"):
    make_smollm2(args.out / "smollm2-f32")
