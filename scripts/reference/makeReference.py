#!/usr/bin/env python3
"""Makes the reference figures that the engine is tested against, with Hugging Face transformers in float32.

    python scripts/reference/makeReference.py smollm2 --gguf SmolLM2-135M-Instruct.Q4_1.gguf
    python scripts/reference/makeReference.py small-world
    python scripts/reference/makeReference.py acronyms
    python scripts/reference/makeReference.py planted
    python scripts/reference/makeReference.py random

smollm2      test/reference/smollm2.json, models/reference/smollm2-135m.json
small-world  test/reference/smallWorld.json, models/reference/small-world.json; acronyms and planted likewise
random       test/reference/models/<name>/ (small seeded models, with expected.json in each)
See README.md beside this file for the installation and for what the fields mean.
"""
import argparse
import os
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
import torch
from gguf import GGUFReader
from tokenizers import Tokenizer
from transformers import GPT2LMHeadModel

import prompts
from attribution import Parts, Run, direct, lens, occlusion
from ggufModel import load_model, load_tokenizer, sha256
from packed import made_with, pack, write_json
from randomModels import make_random_models

ROOT = Path(__file__).parents[2]
OCCLUSIONS = 3
FULL_LOGITS = 3
TOP = 50
# Figures for the tests, prompts, layers, and of how many heads of each layer the patterns are kept.
BUNDLED = {
    "small-world": ("smallWorld.json", prompts.SMALL_WORLD, 4, 2),
    "acronyms": ("acronyms.json", prompts.ACRONYMS, 3, 4),
    "planted": ("planted.json", prompts.ACRONYMS, 3, 6),
}


def term_ids(tokenizer: Tokenizer, spec: dict) -> dict:
    ids = {text: tokenizer.encode(text, add_special_tokens=False).ids for text in spec}
    assert all(len(found) == 1 for found in ids.values()), ids
    return {ids[text][0]: weight for text, weight in spec.items()}


def sample_ids(vocabulary: int, count: int, seed: int) -> list:
    return sorted(torch.randperm(vocabulary, generator=torch.Generator().manual_seed(seed))[:count].tolist())


def hidden_sample(run: Run, layers: list, step: int) -> list:
    """Every `step`-th dimension of the residual stream after some layers, at the first, a middle and the last position."""
    length = run.logits.shape[0]
    return [{"layer": layer, "position": position, "step": step, "values": pack(run.resid[layer + 1][position][::step])}
            for layer in layers for position in sorted({0, length // 2, length - 1})]


def attribution_figures(run: Run, ids: list, terms: dict, with_occlusion: bool) -> dict:
    position = len(ids) - 1
    found = direct(run, terms, position)
    figures = {"position": position, "terms": [{"id": i, "weight": w} for i, w in terms.items()],
               "direct": {key: pack(value) if torch.is_tensor(value) else value for key, value in found.items()},
               "lens": lens(run, terms, sorted({0, position // 2, position}))}
    if with_occlusion:
        figures["occlusion"] = occlusion(run.parts, ids, terms, position)
    return figures


def figures(parts: Parts, tokenizer: Tokenizer, entries: list, layers: list, heads: list, sample: int) -> list:
    """One record a prompt. The last position's logits: a fixed seeded sample, the top 50, all of them for the first three."""
    vocabulary = parts.embed.weight.shape[0]
    chosen, records, attributed = sample_ids(vocabulary, min(sample, vocabulary), seed=7), [], 0
    for index, (text, spec) in enumerate(entries):
        ids = tokenizer.encode(text).ids
        run = Run(parts, ids)
        last = run.logits[-1]
        top = last.topk(TOP)
        record = {"text": text, "ids": ids, "sample": pack(last[chosen]),
                  "top": {"ids": top.indices.tolist(), "logits": pack(top.values)},
                  "hidden": hidden_sample(run, layers, step=9 if last.shape[0] > 2000 else 3)}
        if index < FULL_LOGITS:
            record["logits"] = pack(last)
        if len(ids) <= 40:
            record["patterns"] = [{"layer": layer, "head": head, "rows": pack(run.patterns[layer, head])} for layer, head in heads]
            if spec:
                record["attribution"] = attribution_figures(run, ids, term_ids(tokenizer, spec), attributed < OCCLUSIONS)
                attributed += 1
        if spec:
            terms = term_ids(tokenizer, spec)
            record["observable"] = {"spec": spec, "value": sum(w * last[i].item() for i, w in terms.items())}
        records.append(record)
        print(f"{index + 1} of {len(entries)}: {len(ids)} tokens", flush=True)
    return [{"sampleIds": chosen}, *records]


def verify_file(parts: Parts, records: list, tolerance: float) -> dict:
    """What `mechanist models verify` compares with: token ids, and logits of some entries at the last position."""
    result = []
    for index, record in enumerate(records):
        last = Run(parts, record["ids"]).logits[-1]
        some = sorted(set(last.topk(24).indices.tolist()) | set(sample_ids(len(last), 40, seed=100 + index)))
        result.append({"ids": record["ids"], "sampleIds": some, "logits": [round(last[i].item(), 5) for i in some]})
    made = made_with()
    return {"schemaVersion": 1, "reference": f"transformers {made['transformers']}, torch {made['torch']}, float32",
            "madeWith": made, "tolerance": tolerance, "prompts": result}


def make(name: str, test_file: str, model, tokenizer: Tokenizer, entries: list, model_hash: str, **choices) -> None:
    parts = Parts(model)
    head, *records = figures(parts, tokenizer, entries, **choices)
    tolerance = 2e-3
    write_json(ROOT / "test" / "reference" / test_file,
               {"schemaVersion": 1, "madeWith": made_with(), "modelHash": model_hash, "tolerance": tolerance, **head, "prompts": records})
    write_json(ROOT / "models" / "reference" / f"{name}.json", {"modelHash": model_hash, **verify_file(parts, records, tolerance)})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["smollm2", *BUNDLED, "random"])
    parser.add_argument("--gguf", type=Path)
    args = parser.parse_args()
    if args.what == "random":
        make_random_models(ROOT / "test" / "reference" / "models")
    elif args.what == "smollm2":
        if not args.gguf:
            parser.error("smollm2 needs --gguf FILE")
        reader = GGUFReader(args.gguf)
        make("smollm2-135m", "smollm2.json", load_model(reader), load_tokenizer(reader), prompts.SMOLLM2, sha256(args.gguf),
             layers=[0, 9, 19, 29], heads=[(0, 0), (9, 4), (19, 8), (29, 2)], sample=512)
    else:
        folder = ROOT / "models" / args.what
        test_file, entries, layers, heads = BUNDLED[args.what]
        model = GPT2LMHeadModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
        make(args.what, test_file, model, Tokenizer.from_file(str(folder / "tokenizer.json")), entries, sha256(folder / "model.safetensors"),
             layers=list(range(layers)), heads=[(layer, head) for layer in range(layers) for head in range(heads)], sample=512)


if __name__ == "__main__":
    main()
