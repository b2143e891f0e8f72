"""Maps of heads and patched paths of observables: test/reference/observable-paths.json, float64.

Activations come from hooks on the library's modules (`interventionsModel.py`); what a patch does is computed by calling those modules
again on single rows: norm, value and output projection of one head, MLP, final norm, unembedding. Nothing is shared with the engine.
Usage: observablePaths.py --gguf SmolLM2-135M-Instruct.Q4_1.gguf
"""
import argparse
import json
import re
from pathlib import Path

import torch
from gguf import GGUFReader
from transformers import AutoModelForCausalLM

from ggufModel import load_model, load_tokenizer, sha256
from interventionsModel import Tapped, check
from observables import Model, back, norm_stage
from packed import made_with, pack, write_json

ROOT = Path(__file__).parents[2]
ROWS = 3


def parse(path, places):
    """`L2.H1@name <= MLP 1@name`: nearest the logits first, each with the place that it reads."""
    nodes = []
    for text in path.split(" <= "):
        name, place = text.split("@")
        head, mlp = re.fullmatch(r"L(\d+)\.H(\d+)", name), re.fullmatch(r"MLP (\d+)", name)
        at = places[place]
        nodes.append(("head", int(head[1]), int(head[2]), at) if head else ("mlp", int(mlp[1]), None, at) if mlp else ("emb", 0, None, at))
    return nodes


class Row:
    """One pair of prompts in one model."""

    def __init__(self, tapped, parts, row, terms):
        self.t, self.m, self.terms = tapped, parts, terms
        self.end, self.places = row["places"]["END"], row["places"]
        wanted = ("hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_z", "hook_pattern", "hook_mlp_out")
        keep = lambda hook: hook.startswith("blocks.") and hook.endswith(wanted)
        self.runs = [tapped.run([row[side]], keep=keep) for side in ("clean", "corrupted")]
        self.values = [self.observable(logits[0, self.end]) for logits, _ in self.runs]
        self.final = [self.act(run, f"blocks.{tapped.layers - 1}.hook_resid_post", self.end) for run in (0, 1)]

    def act(self, run, hook, at):
        return self.runs[run][1][hook][0, at]

    def observable(self, logits):
        return sum(weight * logits[i] for i, weight in self.terms).item()

    def measured(self, stream):
        """The observable for a final stream, by the library's norm and unembedding."""
        return self.observable(self.m.model.lm_head(self.m.final_norm(stream[None, None]))[0, 0])

    def head_output(self, run, layer, head, at):
        return self.act(run, f"blocks.{layer}.attn.hook_z", at)[head] @ self.t.output_weight(layer)[head]

    def along(self, run):
        """n behind the final norm with its scale frozen."""
        n = sum(weight * self.m.model.lm_head.weight[i] for i, weight in self.terms)
        return back(norm_stage(self.m.final_norm, "frozen", self.final[run]), n.detach(), self.final[run])[0]

    def falls(self, changes):
        return [self.values[0] - self.measured(self.final[0] + change) for change in changes]

    def share(self, run, layer, head, to, source):
        return self.runs[run][1][f"blocks.{layer}.attn.hook_pattern"][0, head, to, source]

    # Paths
    def input_of(self, node, run):
        kind, layer, _, at = node
        return self.act(run, f"blocks.{layer}.hook_resid_mid" if kind == "mlp" else f"blocks.{layer}.hook_resid_pre", at)

    def stage(self, node):
        kind, layer, head, _ = node
        first, second = self.m.norms(layer)
        if kind == "mlp":
            return lambda x: self.m.mlp(layer)(second(x[None])[0])
        return lambda x: self.m.head(layer, head)(first(x[None])[0])

    def carry(self, nodes, change):
        """A change of what the last node reads, through all of them, to the final stream."""
        for i in reversed(range(len(nodes))):
            kind, layer, head, at = nodes[i]
            if kind == "emb":
                continue
            to = self.end if i == 0 else nodes[i - 1][3]
            clean, stage = self.input_of(nodes[i], 0), self.stage(nodes[i])
            change = stage(clean + change) - stage(clean)
            if kind == "head":
                change = self.share(0, layer, head, to, at) * change
        return change

    def contribution(self, nodes):
        change = self.input_of(nodes[-1], 1) - self.input_of(nodes[-1], 0)
        return self.falls([self.carry(nodes, change)])[0]

    def feature(self, nodes, run):
        """Attention times the feature of a path of heads and MLPs, everything linearised in this run, scales frozen."""
        y = self.along(run)
        for i, (kind, layer, head, at) in enumerate(nodes):
            to = self.end if i == 0 else nodes[i - 1][3]
            norm = self.m.norms(layer)[0 if kind == "head" else 1]
            x = self.input_of(nodes[i], run)
            z = norm(x[None])[0].detach()
            stage = self.m.head(layer, head) if kind == "head" else self.m.mlp(layer)
            y = back(stage, y, z)[0]
            if kind == "head":
                y = y * self.share(run, layer, head, to, at)
            y = back(norm_stage(norm, "frozen", x), y, x)[0]
        return y


def maps(rows, layers, heads, under):
    """direct, difference and patched `[layer][head]`, their means over rows; under a path or at the final stream."""
    found = {"direct": torch.zeros(layers, heads), "difference": torch.zeros(layers, heads), "patched": torch.zeros(layers, heads)}
    for row in rows:
        nodes = [] if under is None else parse(under, row.places)
        at = nodes[-1][3] if nodes else row.end
        y = [row.feature(nodes, run) for run in (0, 1)]
        for layer in range(layers):
            out = [[row.head_output(run, layer, head, at) for head in range(heads)] for run in (0, 1)]
            for head in range(heads):
                clean, corrupted = (out[run][head] for run in (0, 1))
                found["direct"][layer, head] += (y[0] @ clean).item() / len(rows)
                found["difference"][layer, head] += ((y[0] @ clean) - (y[1] @ corrupted)).item() / len(rows)
                found["patched"][layer, head] += row.falls([row.carry(nodes, corrupted - clean)])[0] / len(rows)
    return {key: pack(value) for key, value in found.items()}


def figures(name, load, rows, terms, paths, under, **more):
    # Two copies: hooks read whole runs, single rows go through modules without any.
    parts = Model(load())
    tapped = Tapped(load().double().eval())
    check(parts.model, tapped, [rows[0]["clean"]], 1e-4)
    with torch.no_grad():
        made = [Row(tapped, parts, row, terms) for row in rows]
    contributions = [{"path": path, "rows": [row.contribution(parse(path, row.places)) for row in made]} for path in paths]
    print(f"  {name}: {[round(v, 3) for row in made for v in row.values]}", *contributions, sep="\n    ")
    last = parse(under, rows[0]["places"])[-1]
    below = last[1]
    return {"model": name, **more, "rows": rows, "terms": [{"id": i, "weight": w} for i, w in terms],
            "values": [row.values for row in made], "map": maps(made, tapped.layers, tapped.heads, None),
            "under": {"path": under, "map": maps(made, below, tapped.heads, under)}, "paths": contributions}


RANDOM_PATHS = ["L2.H1@name", "MLP 2@END", "L2.H0@name <= MLP 1@name", "MLP 2@END <= L2.H3@name", "L2.H2@name <= L1.H1@name <= emb@name"]
SMOLLM2_PATHS = ["L26.H2@name", "MLP 29@END", "L26.H2@name <= MLP 24@name", "MLP 29@END <= L25.H2@name <= MLP 24@name",
                 "L26.H2@-2 <= L25.H2@name <= MLP 24@name"]


def random_rows(vocabulary):
    generator = torch.Generator().manual_seed(7)
    draw = lambda n: torch.randint(0, vocabulary, (n,), generator=generator).tolist()
    rows = []
    for length, name in ((6, 2), (7, 3), (6, 1)):
        ids, other = draw(length), draw(1)
        rows.append({"clean": ids, "corrupted": ids[:name] + other + ids[name + 1:], "places": {"name": name, "END": length - 1}})
    return rows, [(i, w) for i, w in zip(draw(2), (1.0, -1.5))]


def smollm2_rows(tokenizer):
    lines = (ROOT / "examples/observables/subject.smollm2.jsonl").read_text().splitlines()[1 : ROWS + 1]
    rows = []
    for line in map(json.loads, lines):
        clean, corrupted = (tokenizer.encode(line[side]).ids for side in ("clean", "corrupted"))
        assert len(clean) == len(corrupted), line
        end = len(clean) - 1
        rows.append({"clean": clean, "corrupted": corrupted, "places": {"name": line["roles"]["name"], "-2": end - 1, "END": end}})
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gguf", type=Path, required=True)
    args = parser.parse_args()
    reader = GGUFReader(args.gguf)
    tokenizer = load_tokenizer(reader)
    one = lambda text: tokenizer.encode(text, add_special_tokens=False).ids[0]
    made = []
    for name in ("gpt2", "llama-tied"):
        load = lambda: AutoModelForCausalLM.from_pretrained(
            ROOT / "test/reference/models" / name, attn_implementation="eager", dtype=torch.float32)
        rows, terms = random_rows(load().config.vocab_size)
        made.append(figures(name, load, rows, terms, RANDOM_PATHS, "L2.H1@name"))
    made.append(figures("smollm2-135m", lambda: load_model(reader), smollm2_rows(tokenizer), [(one(" she"), 1.0), (one(" he"), -1.0)],
                        SMOLLM2_PATHS, "L26.H2@name", modelSha256=sha256(args.gguf)))
    about = {**made_with(), "script": "scripts/reference/observablePaths.py", "dtype": "float64"}
    write_json(ROOT / "test/reference/observable-paths.json", {"schemaVersion": 1, "madeWith": about, "models": made})


if __name__ == "__main__":
    main()
