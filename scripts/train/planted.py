#!/usr/bin/env python3
"""Builds models/planted: a GPT-2 whose weights are written by hand, so that its circuit is known exactly. Nothing is trained.

    python scripts/train/planted.py [--out models/planted] [--seed 0]

The task and the tokenizer are those of models/acronyms. Only the inert heads use random numbers.
"""
import argparse
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from acronymText import ANSWERS, CAPITALS, Ids, make_tokenizer
from plantedCard import write_card

LAYERS, HEADS, D_HEAD, D_MLP, CONTEXT = 3, 6, 32, 16, 16
D = HEADS * D_HEAD
LETTERS = len(CAPITALS)
# The residual stream: one dimension a letter in each of six spaces, one a position, and three that keep the norm.
SPACES = ("spaced", "bare", "previous", "wordBefore", "query", "out")
SPACE = {name: range(i * LETTERS, (i + 1) * LETTERS) for i, name in enumerate(SPACES)}
POSITION = range(len(SPACES) * LETTERS, len(SPACES) * LETTERS + CONTEXT)
BALANCE = POSITION.stop
BALLAST = (BALANCE + 1, BALANCE + 2)
BALLAST_SIZE = 64.0
# Positional scores leave 1e-6 to other keys. The induction head's is small: 0.86 to the key, and a gradient by its query.
SHARP, SOFT = 16.0, 4.0
GAIN = 10.0
T1, T2, T3, PAREN = 3, 5, 7, 8
CIRCUIT = {
    "nodes": ["L0.H0", "L0.H1", "L1.H0", "L1.H1", "L2.H0"],
    "edges": [{"from": a, "to": b, "channel": c} for a, b, c in (
        ("emb", "L0.H0", "v"), ("emb", "L0.H1", "v"), ("L0.H0", "L1.H0", "v"), ("L0.H0", "L1.H1", "v"), ("L0.H0", "L2.H0", "v"),
        ("L0.H1", "L2.H0", "q"), ("L1.H1", "L2.H0", "k"), ("L1.H0", "logits", "logits"), ("L2.H0", "logits", "logits"))],
    "roles": {"L0.H0": "previous token", "L0.H1": "current token", "L1.H0": "first-letter mover", "L1.H1": "previous word",
              "L2.H0": "induction mover"},
    "positional": [{"from": "emb", "to": head, "channel": c} for head in ("L0.H0", "L0.H1", "L1.H0", "L1.H1", "L2.H0") for c in "qk"],
    "notes": "edges carry what differs from prompt to prompt; positional edges read the position embedding alone, which no change of words touches.",
}


class Head:
    """Weights of one head over the normalised stream (which equals the stream on all dimensions that are read)."""

    def __init__(self):
        self.q, self.k, self.v = (np.zeros((D, D_HEAD)) for _ in range(3))
        self.o = np.zeros((D_HEAD, D))

    def copies(self, source: str, target: str):
        for i, (a, b) in enumerate(zip(SPACE[source], SPACE[target], strict=True)):
            self.v[a, i] = 1
            self.o[i, b], self.o[i, BALANCE] = 1, -1
        return self

    def attends(self, key_of: dict):
        """Position → position, for all positions; sharply."""
        root = np.sqrt(SHARP * np.sqrt(D_HEAD))
        for position, key in key_of.items():
            self.q[POSITION[position], key] = root
        for key in set(key_of.values()):
            self.k[POSITION[key], key] = root
        return self

    def matches(self, query: str, key: str, elsewhere: list):
        """Attends to where the letter in `key` is that in `query`; from the positions `elsewhere`, to BOS."""
        root = np.sqrt(SOFT * np.sqrt(D_HEAD))
        for i, (a, b) in enumerate(zip(SPACE[query], SPACE[key], strict=True)):
            self.q[a, i] = self.k[b, i] = root
        sharp = np.sqrt(SHARP * np.sqrt(D_HEAD))
        self.k[POSITION[0], LETTERS] = sharp
        for position in elsewhere:
            self.q[POSITION[position], LETTERS] = sharp
        return self


def planted_heads() -> dict:
    everywhere = dict.fromkeys(range(CONTEXT), 0)
    return {
        (0, 0): Head().attends({p: max(0, p - 1) for p in range(CONTEXT)}).copies("spaced", "previous"),
        (0, 1): Head().attends({p: p for p in range(CONTEXT)}).copies("bare", "query"),
        (1, 0): Head().attends(everywhere | {PAREN: T1}).copies("previous", "out"),
        (1, 1): Head().attends(everywhere | {T2: T1, T3: T2}).copies("previous", "wordBefore"),
        (2, 0): Head().matches("query", "wordBefore", [p for p in range(CONTEXT) if p not in ANSWERS[1:]]).copies("previous", "out"),
    }


def inert_head(random: np.random.Generator) -> Head:
    """A pattern like any other head's, and an output of about 1e-6."""
    head = Head()
    head.q, head.k, head.v = random.normal(0, 1, (D, D_HEAD)), random.normal(0, 1, (D, D_HEAD)), random.normal(0, 0.3, (D, D_HEAD))
    head.o = random.normal(0, 1e-7, (D_HEAD, D))
    return head


def block(layer: int, planted: dict, random: np.random.Generator) -> dict:
    heads = [planted.get((layer, head)) or inert_head(random) for head in range(HEADS)]
    return {
        "attn.c_attn.weight": np.concatenate([getattr(head, part) for part in "qkv" for head in heads], axis=1),
        "attn.c_attn.bias": np.zeros(3 * D),
        "attn.c_proj.weight": np.concatenate([head.o for head in heads], axis=0),
        "attn.c_proj.bias": np.zeros(D),
        "ln_1.weight": norm_weight(), "ln_1.bias": np.zeros(D), "ln_2.weight": norm_weight(), "ln_2.bias": np.zeros(D),
        "mlp.c_fc.weight": np.zeros((D, D_MLP)), "mlp.c_fc.bias": np.zeros(D_MLP),
        "mlp.c_proj.weight": np.zeros((D_MLP, D)), "mlp.c_proj.bias": np.zeros(D),
    }


def norm_weight() -> np.ndarray:
    """Undoes the division by the standard deviation, which the ballast alone makes; the three norm dimensions are never read."""
    weight = np.full(D, np.sqrt(2 * BALLAST_SIZE**2 / D))
    weight[[BALANCE, *BALLAST]] = 0
    return weight


def weights(ids: Ids, vocabulary: int, seed: int) -> dict:
    random, planted = np.random.default_rng(seed), planted_heads()
    embed, positions, unembed = np.zeros((vocabulary, D)), np.zeros((CONTEXT, D)), np.zeros((vocabulary, D))
    for i, capital in enumerate(CAPITALS):
        for space, token in (("spaced", ids.spaced[capital]), ("bare", ids.bare[capital])):
            embed[token, SPACE[space][i]], embed[token, BALANCE] = 1, -1
        unembed[ids.bare[capital], SPACE["out"][i]] = GAIN
    for position in range(CONTEXT):
        positions[position, POSITION[position]], positions[position, BALANCE] = 1, -1
        positions[position, list(BALLAST)] = BALLAST_SIZE, -BALLAST_SIZE
    found = {"transformer.wte.weight": embed, "transformer.wpe.weight": positions, "lm_head.weight": unembed,
             "transformer.ln_f.weight": norm_weight(), "transformer.ln_f.bias": np.zeros(D)}
    for layer in range(LAYERS):
        found |= {f"transformer.h.{layer}.{name}": value for name, value in block(layer, planted, random).items()}
    return {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in found.items()}


def edges_in(found: dict) -> set:
    """Edges between planted heads and the ends, by the products of what one writes and the other reads: those above 1e-4."""
    norm = np.sqrt(2 * BALLAST_SIZE**2 / D)
    tokens = found["transformer.wte.weight"] - found["transformer.wte.weight"].mean(0)
    edges, heads = set(), [(int(name[1]), int(name[4])) for name in CIRCUIT["nodes"]]

    def connects(written, read) -> bool:
        return bool(np.abs(written @ read).max() > 1e-4)

    def writes(layer: int, head: int):
        return found[f"transformer.h.{layer}.attn.c_proj.weight"][head * D_HEAD : (head + 1) * D_HEAD]

    unembed = (found["lm_head.weight"] * found["transformer.ln_f.weight"] / norm).T
    for layer, head in heads:
        name = f"L{layer}.H{head}"
        for i, channel in enumerate("qkv"):
            start = i * D + head * D_HEAD
            read = (found[f"transformer.h.{layer}.ln_1.weight"] / norm)[:, None] * found[f"transformer.h.{layer}.attn.c_attn.weight"][:, start : start + D_HEAD]
            senders = {"emb": tokens} | {f"L{a}.H{b}": writes(a, b) for a in range(layer) for b in range(HEADS)}
            edges |= {(sender, name, channel) for sender, written in senders.items() if connects(written, read)}
        if connects(writes(layer, head), unembed):
            edges.add((name, "logits", "logits"))
    return edges


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[2] / "models" / "planted")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    tokenizer = make_tokenizer(args.out, CONTEXT)
    vocabulary = tokenizer.get_vocab_size()
    found = weights(Ids(tokenizer), vocabulary, args.seed)
    if edges_in(found) != {(edge["from"], edge["to"], edge["channel"]) for edge in CIRCUIT["edges"]}:
        raise SystemExit(f"the weights hold other edges than the circuit: {sorted(edges_in(found))}")
    save_file(found, args.out / "model.safetensors", metadata={"format": "pt"})
    (args.out / "model.safetensors").chmod(0o644)
    (args.out / "config.json").write_text(json.dumps({
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "activation_function": "gelu_new", "attn_pdrop": 0, "embd_pdrop": 0,
        "resid_pdrop": 0, "bos_token_id": 0, "eos_token_id": 0, "dtype": "float32", "layer_norm_epsilon": 1e-05, "n_embd": D,
        "n_head": HEADS, "n_inner": D_MLP, "n_layer": LAYERS, "n_positions": CONTEXT, "scale_attn_weights": True,
        "tie_word_embeddings": False, "vocab_size": vocabulary}, indent=2) + "\n")
    (args.out / "circuit.json").write_text(json.dumps(CIRCUIT, indent=2) + "\n")
    write_card(args.out, args.seed)


if __name__ == "__main__":
    main()
