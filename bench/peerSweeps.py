#!/usr/bin/env python3
"""A peer of the benchmark of sweeps: transformers or TransformerLens, answering one JSON request a line.

    python bench/peerSweeps.py --api hf|tl --model HF_FOLDER --threads 2

{"task", "tokens": [[id, ...], ...], "answers": [id, ...], "foils": [id, ...], "cells": [[layer, column], ...]} gives
{"wall_s", "cpu_s", "check": [mean over prompts, one a cell]}. The corrupted partner of prompt i is prompt i - 1.
last         logits of the last position (hf)           full  logits of every position (tl)
ablate       z of one head zero, a forward pass a cell   residPatch  resid_pre of one layer and position into the corrupted run
attribution  one clean forward, one corrupted forward and backward: resid_pre by layer and position, z by layer and head
pathDirect   one head's z from the corrupted run into the clean final residual stream, all heads
"""
import argparse
import json
import logging
import os
import resource
import sys
import tempfile
import time
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", WANDB_MODE="disabled", TQDM_DISABLE="1")
parser = argparse.ArgumentParser()
parser.add_argument("--api", choices=["hf", "tl"], required=True)
parser.add_argument("--model", required=True)
parser.add_argument("--threads", type=int, required=True)
args = parser.parse_args()

import torch
from transformers import AutoModelForCausalLM

torch.set_num_threads(args.threads)
torch.set_num_interop_threads(1)


def load_hf(attention):
    return AutoModelForCausalLM.from_pretrained(args.model, attn_implementation=attention, dtype=torch.float32).eval()


def load_tl():
    """TransformerBridge of TransformerLens 4, weights as stored. The jobs are token ids; it wants a tokenizer all the same."""
    from tokenizers import Tokenizer, models
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    folder = tempfile.mkdtemp()
    stand_in = Tokenizer(models.WordLevel({"<|endoftext|>": 0, "a": 1}, unk_token="a"))
    PreTrainedTokenizerFast(tokenizer_object=stand_in, bos_token="<|endoftext|>", eos_token="<|endoftext|>", unk_token="a",
                            pad_token="<|endoftext|>").save_pretrained(folder)
    bridge = TransformerBridge.boot_transformers(args.model, hf_model=load_hf("eager"), device="cpu",
                                                 tokenizer=AutoTokenizer.from_pretrained(folder))
    bridge.eval()
    bridge.enable_compatibility_mode(no_processing=True, disable_warnings=True)
    for parameter in bridge.parameters():
        parameter.requires_grad_(False)
    return bridge


model = load_hf("sdpa") if args.api == "hf" else load_tl()
layers = model.config.num_hidden_layers if args.api == "hf" else model.cfg.n_layers


class Job:
    def __init__(self, request):
        self.tokens = torch.tensor(request["tokens"])
        self.corrupted = torch.roll(self.tokens, 1, 0)
        self.answers, self.foils = (torch.tensor(request[key]) for key in ("answers", "foils"))
        self.cells = request.get("cells", [])

    def difference(self, logits):
        row = torch.arange(len(self.tokens))
        return logits[row, -1, self.answers] - logits[row, -1, self.foils]

    def last(self):
        return model(self.tokens, logits_to_keep=1, use_cache=False).logits[0, -1, :8].tolist()

    def full(self):
        return model(self.tokens)[0, -1, :8].tolist()

    def ablate(self):
        values = []
        for layer, head in self.cells:
            def hook(z, hook):
                z = z.clone()
                z[:, :, head] = 0
                return z
            logits = model.run_with_hooks(self.tokens, fwd_hooks=[(f"blocks.{layer}.attn.hook_z", hook)])
            values.append(self.difference(logits).mean().item())
        return values

    def residPatch(self):
        names = [f"blocks.{layer}.hook_resid_pre" for layer in range(layers)]
        _, clean = model.run_with_cache(self.tokens, names_filter=lambda name: name in names)
        values = []
        for layer, position in self.cells:
            name = f"blocks.{layer}.hook_resid_pre"

            def hook(x, hook):
                x = x.clone()
                x[:, position] = clean[name][:, position]
                return x
            values.append(self.difference(model.run_with_hooks(self.corrupted, fwd_hooks=[(name, hook)])).mean().item())
        return values

    def attribution(self):
        names = [f"blocks.{layer}.{hook}" for hook in ("hook_resid_pre", "attn.hook_z") for layer in range(layers)]
        _, clean = model.run_with_cache(self.tokens, names_filter=lambda name: name in set(names))
        found = {}

        def hook(x, hook, name):
            x = x if x.requires_grad else x.detach().requires_grad_(True)
            x.retain_grad()
            found[name] = x
            return x

        hooks = [(name, lambda x, hook, name=name: globals()["keep"](x, name)) for name in names]
        globals()["keep"] = lambda x, name: hook(x, None, name)
        with torch.inference_mode(False), torch.enable_grad():
            self.difference(model.run_with_hooks(self.corrupted.clone(), fwd_hooks=hooks)).sum().backward()
        values = []
        for name in names:
            product = (clean[name] - found[name]) * found[name].grad
            values += product.sum((0, 1, 3) if product.ndim == 4 else (0, 2)).tolist()
        return values

    def pathDirect(self):
        names = {f"blocks.{layer}.attn.hook_z" for layer in range(layers)} | {f"blocks.{layers - 1}.hook_resid_post"}
        _, own = model.run_with_cache(self.tokens, names_filter=lambda name: name in names)
        _, other = model.run_with_cache(self.corrupted, names_filter=lambda name: name in names)
        final, values = own[f"blocks.{layers - 1}.hook_resid_post"][:, -1], []
        for layer in range(layers):
            change = (other[f"blocks.{layer}.attn.hook_z"] - own[f"blocks.{layer}.attn.hook_z"])[:, -1]
            written = torch.einsum("nhd,hdm->hnm", change, model.blocks[layer].attn.W_O)
            for head in range(len(written)):
                logits = model.unembed(model.ln_final((final + written[head])[:, None]))
                values.append(self.difference(logits).mean().item())
        return values


def cpu():
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


def do(request):
    job = Job(request)
    c, w = cpu(), time.perf_counter()
    with torch.no_grad():
        check = getattr(job, request["task"])()
    return {"wall_s": time.perf_counter() - w, "cpu_s": cpu() - c, "check": check}


print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    if not line.strip():
        continue
    try:
        print(json.dumps(do(json.loads(line))), flush=True)
    except Exception as error:  # the caller prints it and goes on
        print(json.dumps({"error": repr(error)[:500]}), flush=True)
