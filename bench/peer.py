#!/usr/bin/env python3
"""A peer of the benchmark: Hugging Face transformers or TransformerLens, answering one JSON request a line.

    python bench/peer.py --api hf|tl --model HF_FOLDER --threads 1

Prints {"ready": true, "load_s", "first_s"} once it has given its first logits, then for each
{"task": "forward" | "full" | "trace", "tokens": [[id, ...], ...], "terms": {"id": weight}} one line {"wall_s", "cpu_s", "check": [...]}.
forward  logits of the last position        full  logits of every position
trace    the observable at the last position, split over heads, MLPs and embedding, and over source positions by head
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

STARTED = time.perf_counter()
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


class HuggingFace:
    """The fastest plain way: sdpa attention, inference mode, only the logits that are asked for."""

    def __init__(self):
        self.model = AutoModelForCausalLM.from_pretrained(args.model, attn_implementation="sdpa", dtype=torch.float32).eval()

    def forward(self, tokens, terms):
        return self.model(tokens, logits_to_keep=1, use_cache=False).logits[:, -1]

    def full(self, tokens, terms):
        return self.model(tokens, use_cache=False).logits[:, -1]


class TransformerLens:
    """TransformerBridge of TransformerLens 4, weights as stored (nothing folded, nothing centred)."""

    def __init__(self):
        from tokenizers import Tokenizer, models
        from transformer_lens.model_bridge import TransformerBridge
        from transformers import AutoTokenizer, PreTrainedTokenizerFast

        # The jobs are token ids; the bridge wants a tokenizer all the same.
        folder = tempfile.mkdtemp()
        stand_in = Tokenizer(models.WordLevel({"<|endoftext|>": 0, "a": 1}, unk_token="a"))
        PreTrainedTokenizerFast(tokenizer_object=stand_in, bos_token="<|endoftext|>", eos_token="<|endoftext|>",
                                unk_token="a", pad_token="<|endoftext|>").save_pretrained(folder)
        hf = AutoModelForCausalLM.from_pretrained(args.model, attn_implementation="eager", dtype=torch.float32).eval()
        self.llama = hf.config.model_type == "llama"
        self.model = TransformerBridge.boot_transformers(args.model, hf_model=hf, device="cpu",
                                                         tokenizer=AutoTokenizer.from_pretrained(folder))
        self.model.eval()
        self.model.enable_compatibility_mode(no_processing=True, disable_warnings=True)
        self.hf = hf

    def forward(self, tokens, terms):
        return self.full(tokens, terms)

    def full(self, tokens, terms):
        return self.model(tokens)[:, -1]

    def trace(self, tokens, terms):
        """Cache of one run, then every head's z · W_O and its split by source, against the unembedding direction."""
        wanted = ("attn.hook_z", "attn.hook_v", "attn.hook_pattern", "hook_mlp_out", "hook_embed", "hook_pos_embed", "hook_resid_post")
        logits, cache = self.model.run_with_cache(tokens, names_filter=lambda name: name.endswith(wanted))
        layers, last = self.hf.config.num_hidden_layers, tokens.shape[1] - 1
        heads, d_head = self.model.cfg.n_heads, self.model.cfg.d_head
        rows = self.hf.get_output_embeddings().weight
        u = sum(weight * rows[int(i)] for i, weight in terms.items())
        norm = self.hf.model.norm if self.llama else self.hf.transformer.ln_f
        final = cache[f"blocks.{layers - 1}.hook_resid_post"][0, last]
        if self.llama:
            scale = (final.pow(2).mean() + norm.variance_epsilon).sqrt()
            towards = lambda x: (x / scale * norm.weight) @ u
        else:
            scale = (final.var(unbiased=False) + norm.eps).sqrt()
            towards = lambda x: ((x - x.mean(-1, keepdim=True)) / scale * norm.weight) @ u
        by_source, mlps, bias = [], [], 0.0
        for layer in range(layers):
            out = self.hf.model.layers[layer].self_attn.o_proj if self.llama else self.hf.transformer.h[layer].attn.c_proj
            w_o = (out.weight.T if self.llama else out.weight).view(heads, d_head, -1)
            v = cache[f"blocks.{layer}.attn.hook_v"][0].view(tokens.shape[1], -1, d_head)
            v = v.repeat_interleave(heads // v.shape[1], 1)
            pattern = cache[f"blocks.{layer}.attn.hook_pattern"][0, :, last]
            by_source.append(towards(torch.einsum("hs,shd,hdm->hsm", pattern, v, w_o)))
            mlps.append(towards(cache[f"blocks.{layer}.hook_mlp_out"][0, last]))
            if out.bias is not None:
                bias = bias + towards(out.bias)
        rest = towards(cache["hook_embed"][0, last]) + sum(mlps) + bias
        if not self.llama:
            rest = rest + towards(cache["hook_pos_embed"][0, last]) + norm.bias @ u
        attributions = torch.stack(by_source).sum((0, 1))
        attributions[last] += rest
        return attributions[None]


def cpu() -> float:
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


def do(peer, request):
    tokens = torch.tensor(request["tokens"])
    c, w = cpu(), time.perf_counter()
    with torch.inference_mode():
        result = getattr(peer, request["task"])(tokens, request.get("terms"))
    return {"wall_s": time.perf_counter() - w, "cpu_s": cpu() - c, "check": [float(x) for x in result[0, :8]]}


with torch.inference_mode():
    imported = time.perf_counter()
    peer = (HuggingFace if args.api == "hf" else TransformerLens)()
    peer.forward(torch.arange(1, 17)[None], None)
# load_s leaves the imports out; first_s is counted from the start of the program.
print(json.dumps({"ready": True, "load_s": time.perf_counter() - imported, "first_s": time.perf_counter() - STARTED,
                  "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}), flush=True)
for line in sys.stdin:
    if not line.strip():
        continue
    try:
        print(json.dumps(do(peer, json.loads(line))), flush=True)
    except Exception as error:  # the caller prints it and goes on
        print(json.dumps({"error": repr(error)[:500]}), flush=True)
