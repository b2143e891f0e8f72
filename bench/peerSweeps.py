#!/usr/bin/env python3
"""A peer of the benchmark of sweeps: transformers, TransformerLens in either form, or nnsight, answering one JSON request a line.

    python bench/peerSweeps.py --api hf|tl|hooked|nnsight --model HF_FOLDER --threads 2

tl: the bridge of TransformerLens 4. hooked: HookedTransformer, gone in version 4, so this wants 3.9 (GPT-2 only).
{"task", "tokens": [[id, ...], ...], "answers": [id, ...], "foils": [id, ...], "cells": [[layer, column], ...], "resume": false} gives
{"wall_s", "cpu_s", "check": [mean over prompts, one a cell]}. The corrupted partner of prompt i is prompt i - 1.
last         logits of the last position (hf)           full  logits of every position (tl, hooked)
ablate       z of one head zero, a forward pass a cell; "resume": from the layer of the head on, from cached streams that are not timed
residPatch   resid_pre of one layer and position into the corrupted run; "resume" as above
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
parser.add_argument("--api", choices=["hf", "tl", "hooked", "nnsight"], required=True)
parser.add_argument("--model", required=True)
parser.add_argument("--threads", type=int, required=True)
args = parser.parse_args()

import torch
from transformers import AutoModelForCausalLM

torch.set_num_threads(args.threads)
torch.set_num_interop_threads(1)


def load_hf(attention):
    return AutoModelForCausalLM.from_pretrained(args.model, attn_implementation=attention, dtype=torch.float32).eval()


def load_bridge():
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
    return bridge


def load_hooked():
    """HookedTransformer of TransformerLens 3, weights as stored."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights

    hf = load_hf("eager")
    own = hf.config
    cfg = HookedTransformerConfig(n_layers=own.n_layer, d_model=own.n_embd, n_ctx=own.n_positions, d_head=own.n_embd // own.n_head,
                                  n_heads=own.n_head, d_mlp=4 * own.n_embd, d_vocab=own.vocab_size, act_fn="gelu_new",
                                  eps=own.layer_norm_epsilon, normalization_type="LN", device="cpu", attention_dir="causal",
                                  init_weights=False)
    hooked = HookedTransformer(cfg)
    hooked.load_and_process_state_dict(convert_gpt2_weights(hf, cfg), fold_ln=False, center_writing_weights=False,
                                       center_unembed=False, fold_value_biases=False)
    return hooked.eval()


if args.api == "nnsight":
    from nnsight import NNsight

    plain = load_hf("sdpa")
    model, config = NNsight(plain), plain.config
    layers, heads = config.num_hidden_layers, config.num_attention_heads
elif args.api == "hf":
    model = load_hf("sdpa")
    layers, heads = model.config.num_hidden_layers, model.config.num_attention_heads
else:
    model = load_bridge() if args.api == "tl" else load_hooked()
    layers, heads = model.cfg.n_layers, model.cfg.n_heads
    for parameter in model.parameters():
        parameter.requires_grad_(False)


class Job:
    def __init__(self, request):
        self.tokens = torch.tensor(request["tokens"])
        self.corrupted = torch.roll(self.tokens, 1, 0)
        self.answers, self.foils = (torch.tensor(request[key]) for key in ("answers", "foils"))
        self.cells = request.get("cells", [])
        self.streams = self.cached(request) if request.get("resume") else None

    def cached(self, request):
        """resid_pre of every layer of the run that is changed: what a careful user keeps, and does not pay for again in each cell."""
        tokens = self.tokens if request["task"] == "ablate" else self.corrupted
        _, cache = model.run_with_cache(tokens, names_filter=lambda name: name.endswith("hook_resid_pre"))
        return cache

    def difference(self, logits):
        row = torch.arange(len(self.tokens))
        return logits[row, -1, self.answers] - logits[row, -1, self.foils]

    def run(self, tokens, layer, hooks):
        if self.streams is None:
            return model.run_with_hooks(tokens, fwd_hooks=hooks)
        return model.run_with_hooks(self.streams[f"blocks.{layer}.hook_resid_pre"], start_at_layer=layer, fwd_hooks=hooks)

    def last(self):
        return model(self.tokens, logits_to_keep=1, use_cache=False).logits[0, -1, :8].tolist()

    def full(self):
        return model(self.tokens)[0, -1, :8].tolist()

    def ablate(self):
        if args.api == "nnsight":
            return [self.traced(layer, head) for layer, head in self.cells]
        values = []
        for layer, head in self.cells:
            def hook(z, hook):
                z = z.clone()
                z[:, :, head] = 0
                return z
            logits = self.run(self.tokens, layer, [(f"blocks.{layer}.attn.hook_z", hook)])
            values.append(self.difference(logits).mean().item())
        return values

    def traced(self, layer, head):
        """nnsight on the plain transformers model, logits of the last position only."""
        gpt2 = hasattr(plain, "transformer")
        with model.trace(self.tokens, logits_to_keep=1, use_cache=False):
            z = (model.transformer.h[layer].attn.c_proj if gpt2 else model.model.layers[layer].self_attn.o_proj).input
            width = z.shape[-1] // heads
            z[:, :, head * width:(head + 1) * width] = 0
            logits = model.lm_head.output.save()
        return self.difference(logits).mean().item()

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
            values.append(self.difference(self.run(self.corrupted, layer, [(name, hook)])).mean().item())
        return values

    def attribution(self):
        names = [f"blocks.{layer}.{hook}" for hook in ("hook_resid_pre", "attn.hook_z") for layer in range(layers)]
        _, clean = model.run_with_cache(self.tokens, names_filter=lambda name: name in set(names))
        found = {}

        def keep(name):
            def hook(x, hook):
                x = x if x.requires_grad else x.detach().requires_grad_(True)
                x.retain_grad()
                found[name] = x
                return x
            return hook

        hooks = [(name, keep(name)) for name in names]
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
    with torch.no_grad():
        job = Job(request)
        c, w = cpu(), time.perf_counter()
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
