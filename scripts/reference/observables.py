"""Feature vectors of observable propagation by autograd, stage by stage: test/reference/observables.json.

A stage (norm, head with its attention taken as 1, MLP) is a torch function of one row; what stands behind it is held constant, and its
vector-Jacobian product is torch's. Norm modes are the stage with parts of it detached. Nothing is shared with the engine.
Usage: observables.py --gguf SmolLM2-135M-Instruct.Q4_1.gguf
"""
import argparse
import math
import re
from pathlib import Path

import torch
from gguf import GGUFReader
from transformers import AutoModelForCausalLM

from ggufModel import load_model, load_tokenizer, sha256
from packed import made_with, pack, write_json

ROOT = Path(__file__).parents[2]
POINTS = 64
MODES = [("ignore", "prompt"), ("scaled", "prompt"), ("frozen", "prompt"), ("jacobian", "prompt"), ("secant", "prompt"),
         ("frozen", "boundary"), ("jacobian", "boundary"), ("jacobian", "mean")]


class Model:
    """Where a model keeps its parts, and the rows of one run that stages are taken at."""

    def __init__(self, model):
        self.model, c = model.double().eval(), model.config
        self.kind = c.model_type
        body = model.transformer if self.kind in ("gpt2", "gpt_neo") else model.model
        self.blocks = body.h if self.kind != "llama" else body.layers
        self.final_norm = body.ln_f if self.kind != "llama" else body.norm
        self.heads = c.num_attention_heads
        self.kv_heads = c.num_key_value_heads if self.kind == "llama" else self.heads
        self.d_head = getattr(c, "head_dim", None) or c.hidden_size // self.heads

    def norms(self, layer):
        block = self.blocks[layer]
        return (block.input_layernorm, block.post_attention_layernorm) if self.kind == "llama" else (block.ln_1, block.ln_2)

    def head(self, layer, head):
        """x after the norm -> what the head writes when it attends to this row alone; no output bias."""
        block, own = self.blocks[layer], slice(head * self.d_head, (head + 1) * self.d_head)
        group = head // (self.heads // self.kv_heads)
        kept = slice(group * self.d_head, (group + 1) * self.d_head)
        if self.kind == "gpt2":
            width = self.heads * self.d_head
            return lambda z: block.attn.c_attn(z[None])[0][2 * width:][own] @ block.attn.c_proj.weight[own]
        attention = block.self_attn if self.kind == "llama" else block.attn.attention
        out = attention.o_proj if self.kind == "llama" else attention.out_proj
        return lambda z: attention.v_proj(z)[kept] @ out.weight.T[own]

    def mlp(self, layer):
        return lambda z: self.blocks[layer].mlp(z[None, None])[0, 0]

    @torch.no_grad()
    def run(self, ids):
        rows, handles = {}, []

        def keep(module, name):
            handles.append(module.register_forward_pre_hook(lambda m, args: rows.__setitem__(name, args[0][0].clone())))

        for layer in range(len(self.blocks)):
            for norm, name in zip(self.norms(layer), ("ln1", "ln2"), strict=True):
                keep(norm, f"blocks.{layer}.{name}")
        keep(self.final_norm, "ln_final")
        self.model(torch.tensor([ids]))
        for handle in handles:
            handle.remove()
        return rows


def norm_stage(module, mode, at):
    """The norm as a function of its input; what a mode holds constant is taken at the row `at`."""
    layernorm = isinstance(module, torch.nn.LayerNorm)
    eps = module.eps if layernorm else module.variance_epsilon
    bias = module.bias if layernorm else 0.0
    centre = (lambda x: x - x.mean()) if layernorm else (lambda x: x)
    scale = lambda x: (centre(x).pow(2).mean() + eps).sqrt()
    if mode == "jacobian" or mode == "real":
        return lambda x: centre(x) / scale(x) * module.weight + bias
    if mode == "frozen":
        return lambda x: centre(x) / scale(at).detach() * module.weight + bias
    if mode == "scaled":
        return lambda x: x * (math.sqrt(len(at)) / centre(at).norm()).detach() * module.weight + bias
    return lambda x: x


def back(stage, y, at):
    """Vector-Jacobian product, and the affine rest."""
    x = at.clone().requires_grad_(True)
    out = stage(x)
    (gradient,) = torch.autograd.grad(out @ y, x)
    return gradient.detach(), ((out @ y) - gradient @ x).item()


def root(value):
    low, high = value(0.0), value(1.0)
    target = 0.0 if low * high <= 0 else (low + high) / 2
    a, b = 0.0, 1.0
    for _ in range(100):
        middle = (a + b) / 2
        if (value(middle) < target) == (high > low):
            a = middle
        else:
            b = middle
    return (a + b) / 2


class Path_:
    """One path, gone through from the logits down."""

    def __init__(self, model, runs, mode, point):
        self.m, self.runs, self.mode, self.point = model, runs, mode, point
        self.norms, self.offset = [], 0.0

    def norm(self, name, module, y, rows):
        x, other = rows
        middle = (x + other) / 2
        where = x if self.point == "prompt" else middle
        real = norm_stage(module, "real", where)
        if self.mode == "secant":
            vector, rest = ((real(where) @ y) / (where @ y)).detach() * y, 0.0
        elif self.point == "mean" and not torch.equal(x, other):
            steps = [other + (i + 0.5) / POINTS * (x - other) for i in range(POINTS)]
            vector = torch.stack([back(norm_stage(module, self.mode, s), y, s)[0] for s in steps]).mean(0)
            rest = (((real(x) + real(other)) @ y - vector @ (x + other)) / 2).item()
        else:
            vector, rest = back(norm_stage(module, self.mode, where), y, where)
        straight, true = back(norm_stage(module, "frozen", where), y, where)[0], back(real, y, where)[0]
        centred = where - where.mean() if isinstance(module, torch.nn.LayerNorm) else where
        cosine = torch.nn.functional.cosine_similarity
        self.norms.append({"norm": name, "rho": cosine(straight, centred, 0).item(),
                           "angle": torch.acos(cosine(straight, true, 0).clamp(-1, 1)).item()})
        self.offset += rest
        return vector

    def walk(self, y, bias, nodes, position):
        m = self.m
        x, other = (run["ln_final"][position] for run in self.runs)
        self.offset += bias
        if self.point == "boundary":
            real = norm_stage(m.final_norm, "real", x)
            with torch.no_grad():
                t = root(lambda t: (real(other + t * (x - other)) @ y + bias).item())
            x = other = other + t * (x - other)
        y = self.norm("ln_final", m.final_norm, y, (x, other))
        at = position
        for kind, layer, head, source in nodes:
            at = source
            if kind == "emb":
                continue
            name = f"blocks.{layer}.{'ln1' if kind == 'head' else 'ln2'}"
            norm = m.norms(layer)[0 if kind == "head" else 1]
            rows = tuple(run[name][at] for run in self.runs)
            y = self.head(m.head(layer, head), y) if kind == "head" else self.mlp(m.mlp(layer), norm, y, rows)
            y = self.norm(name, norm, y, rows)
        return y

    def head(self, stage, y):
        vector, rest = back(stage, y, torch.zeros(len(y), dtype=torch.float64))
        self.offset += rest
        return vector

    def mlp(self, stage, norm, y, rows):
        real = norm_stage(norm, "real", rows[0])
        with torch.no_grad():
            z, other = (real(row) for row in rows)
        if self.point == "prompt" or torch.equal(z, other):
            vector, rest = back(stage, y, z)
        elif self.point == "boundary":
            with torch.no_grad():
                t = root(lambda t: (stage(other + t * (z - other)) @ y).item())
            vector, rest = back(stage, y, other + t * (z - other))
        else:
            steps = [other + (i + 0.5) / POINTS * (z - other) for i in range(POINTS)]
            vector = torch.stack([back(stage, y, s)[0] for s in steps]).mean(0)
            with torch.no_grad():
                rest = (((stage(z) + stage(other)) @ y - vector @ (z + other)) / 2).item()
        self.offset += rest
        return vector


def parse(path, position):
    """`L2.H1@3 <= MLP 1`; tokens from 1; an MLP keeps the token."""
    nodes, at = [], position
    for text in path.split(" <= "):
        name, _, token = text.partition("@")
        at = int(token) - 1 if token else at
        head, mlp = re.fullmatch(r"L(\d+)\.H(\d+)", name), re.fullmatch(r"MLP (\d+)", name)
        nodes.append(("head", int(head[1]), int(head[2]), at) if head else ("mlp", int(mlp[1]), None, at) if mlp else ("emb", 0, None, at))
    return nodes


def figures(name, model, ids, partner, terms, paths, **more):
    m = Model(model)
    runs = [m.run(ids), m.run(partner)]
    weight, bias = model.lm_head.weight.detach(), model.lm_head.bias
    y = sum(w * weight[i] for i, w in terms)
    constant = 0.0 if bias is None else sum(w * bias[i].item() for i, w in terms)
    with torch.no_grad():
        values = [sum(w * model(torch.tensor([own])).logits[0, -1, i].item() for i, w in terms) for own in (ids, partner)]
    print(f"  {name}: observable {values[0]:+.3f} and {values[1]:+.3f}")
    cases, vectors = [], []
    for path in paths:
        for mode, point in MODES:
            walk = Path_(m, runs, mode, point)
            vector = walk.walk(y.clone(), constant, parse(path, len(ids) - 1), len(ids) - 1)
            vectors.append(vector)
            cases.append({"path": path, "norm": mode, "point": point, "vector": pack(vector), "length": vector.norm().item(),
                          "offset": walk.offset if mode in ("frozen", "jacobian") else None, "norms": walk.norms})
    coupling = [{"a": a, "b": b, "value": (vectors[a] @ vectors[b] / (vectors[a] @ vectors[a])).item()}
                for a in range(0, len(vectors), 5) for b in range(1, len(vectors), 7)]
    return {"model": name, **more, "ids": ids, "partner": partner, "terms": [{"id": i, "weight": w} for i, w in terms],
            "values": values, "cases": cases, "coupling": coupling}


RANDOM_PATHS = ["L2.H1@3", "L0.H3@2", "MLP 2", "MLP 2 <= L2.H0@4", "L2.H3@4 <= MLP 1", "L2.H1@4 <= L1.H0@2", "emb",
                "L2.H2@5 <= MLP 1 <= L1.H1@2 <= emb"]
SMOLLM2_PATHS = ["L26.H2@3", "L20.H1@2", "MLP 28", "L26.H2@3 <= MLP 12", "L26.H2@3 <= L15.H3@2", "L20.H1@2 <= MLP 12 <= L9.H4@2", "emb",
                 "L26.H2@3 <= L15.H3@2 <= emb"]


def random_figures(name, seed):
    model = AutoModelForCausalLM.from_pretrained(ROOT / "test/reference/models" / name, attn_implementation="eager", dtype=torch.float32)
    draw = lambda n, generator: torch.randint(0, model.config.vocab_size, (n,), generator=generator).tolist()
    generator = torch.Generator().manual_seed(seed)
    ids, (a, b) = draw(6, generator), draw(2, generator)
    terms = [(a, 1.0), (b, -1.0)]
    with torch.no_grad():
        value = lambda own: sum(w * model(torch.tensor([own])).logits[0, -1, i].item() for i, w in terms)
        partner = ids
        while value(partner) * value(ids) > 0:
            other = draw(2, generator)
            partner = [ids[0], other[0], *ids[2:4], other[1], ids[5]]
    return figures(name, model, ids, partner, terms, RANDOM_PATHS)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gguf", type=Path, required=True)
    args = parser.parse_args()
    reader = GGUFReader(args.gguf)
    tokenizer, model = load_tokenizer(reader), load_model(reader)
    one = lambda text: tokenizer.encode(text, add_special_tokens=False).ids[0]
    ids, partner = (tokenizer.encode(text).ids for text in ("The nurse said that", "The farmer said that"))
    made = [random_figures(name, seed) for seed, name in enumerate(("gpt2", "gpt-neo", "llama-tied"))]
    made.append(figures("smollm2-135m", model, ids, partner, [(one(" she"), 1.0), (one(" he"), -1.0)], SMOLLM2_PATHS,
                        modelSha256=sha256(args.gguf)))
    about = {**made_with(), "script": "scripts/reference/observables.py", "dtype": "float64"}
    write_json(ROOT / "test/reference/observables.json", {"schemaVersion": 1, "madeWith": about, "models": made})


if __name__ == "__main__":
    main()
