#!/usr/bin/env python3
"""Trains the bundled model models/acronyms from nothing and writes the dataset of both acronym models.

    python scripts/train/acronyms.py [--out models/acronyms] [--steps 2200] [--seed 0]

Install: scripts/reference/requirements.txt. One thread, seeded, float32, CPU: a second run with the same torch on the same kind
of CPU gives the same bytes. Elsewhere rounding differs, and the measures, which are printed and written to the card, should not.
"""
import argparse
import hashlib
import json
import math
import os
import platform
import time
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
import torch
import transformers
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel

from acronymCard import write_card
from acronymMeasures import measure_all
from acronymText import ANSWERS, Ids, Prompts, make_tokenizer, write_dataset

ROOT = Path(__file__).parents[2]
CONTEXT = 32


def train(tokenizer: Tokenizer, args) -> GPT2LMHeadModel:
    torch.manual_seed(args.seed)
    model = GPT2LMHeadModel(GPT2Config(
        vocab_size=tokenizer.get_vocab_size(), n_positions=CONTEXT, n_embd=args.width, n_layer=args.layers, n_head=args.heads, n_inner=args.inner,
        resid_pdrop=args.dropout, embd_pdrop=0, attn_pdrop=args.dropout, bos_token_id=0, eos_token_id=0))
    decay = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW([dict(params=decay, weight_decay=args.decay), dict(params=plain, weight_decay=0)],
                                  lr=args.rate, betas=(0.9, 0.98))
    prompts, ids, start, warm = Prompts(args.seed + 1, held_out=False), Ids(tokenizer), time.time(), 100
    starts = torch.Generator().manual_seed(args.seed + 3)
    for step in range(args.steps):
        rate = args.rate * min((step + 1) / warm, 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / args.steps)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = torch.tensor([ids.row(prompts.parts()) for _ in range(args.batch)])
        tokens = batch[:, :-1]
        # A prompt that could start anywhere: which letter is next must be found in the prompt, not in its absolute position.
        first = torch.randint(0, CONTEXT - tokens.shape[1] + 1, (args.batch, 1), generator=starts)
        first[: args.batch // 2] = 0
        logits = model(tokens, position_ids=first + torch.arange(tokens.shape[1])).logits
        losses = cross_entropy(logits.transpose(1, 2), batch[:, 1:], reduction="none")
        letters = losses[:, ANSWERS[0] :].mean(0)
        loss = letters.mean() + args.rest * losses[:, : ANSWERS[0]].mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0 or step == args.steps - 1:
            print(f"step {step} letters {[round(x, 4) for x in letters.tolist()]} {time.time() - start:.0f} s", flush=True)
    return model.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "models" / "acronyms")
    parser.add_argument("--data", type=Path, default=ROOT / "examples" / "acronyms" / "acronyms.bundled.jsonl")
    parser.add_argument("--steps", type=int, default=2200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--inner", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--decay", type=float, default=0.1)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--rest", type=float, default=0.1, help="weight of the loss on tokens that are no letters of the acronym")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    started = time.process_time()
    tokenizer = make_tokenizer(args.out, CONTEXT)
    model = train(tokenizer, args)
    model.save_pretrained(args.out)
    (args.out / "generation_config.json").unlink(missing_ok=True)
    (args.out / "model.safetensors").chmod(0o644)
    seconds = round(time.process_time() - started)
    write_dataset(args.data, rows=200, seed=args.seed + 2)
    measures = measure_all(model, tokenizer)
    print(json.dumps(measures, indent=1))
    recipe = {**{name: value for name, value in vars(args).items() if name not in ("out", "data")},
              "vocabulary": tokenizer.get_vocab_size(), "parameters": sum(p.numel() for p in model.parameters()), "cpu_seconds": seconds,
              "python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__}
    files = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt")
    write_card(args.out, recipe, measures, {name: hashlib.sha256((args.out / name).read_bytes()).hexdigest() for name in files})


if __name__ == "__main__":
    main()
