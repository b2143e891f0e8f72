#!/usr/bin/env python3
"""Makes the reference figures of the steps of experiments (E1–E6, E8–E13): test/reference/steps-<model>.json, float64.

    python scripts/reference/acronymSteps.py

Hooks on Hugging Face's own modules (`interventionsModel.py`), every value by full runs of its own; weights taken from the
modules. The random models get random tokens in the places of the acronym task, the bundled one rows of its own data.
"""
import json
import os
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from interventionsModel import Tapped, check
from packed import made_with, write_json

ROOT = Path(__file__).parents[2]
ROLES = ["BOS", "The", "C1", "T1", "C2", "T2", "C3", "T3", "P", "A1", "A2"]
ANSWERS = {"L1": 8, "L2": 9, "L3": 10}
ROWS, TOKENS = 5, 8


def random_rows(d_vocab, seed):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randint(2, d_vocab, shape, generator=generator).tolist()
    foils = draw(TOKENS)
    return [{"ids": [0, 1, *row], "answers": answers} for row, answers in zip(draw(ROWS, 9), draw(ROWS, 3))], foils


def acronym_rows(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    one = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"][0]
    lines = [json.loads(line) for line in (ROOT / "examples/acronyms/acronyms.bundled.jsonl").read_text().splitlines()[1 : ROWS + 1]]
    rows = [{"ids": tokenizer(line["clean"])["input_ids"], "answers": [one(a["token"]) for a in line["answers"]]} for line in lines]
    assert all(len(row["ids"]) == len(ROLES) for row in rows), rows
    return rows, [one(chr(ord("A") + i)) for i in range(26)]


def spellings(folder):
    """Token → the tokens that are it with and without a space before it."""
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def variants(token):
        stem = tokenizer.decode([token]).strip()
        if stem == "" or "\ufffd" in stem:
            return {token}
        written = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in (stem, f" {stem}")]
        return {token} | {ids[0] for ids in written if len(ids) == 1}

    return variants


def corrupt(rows):
    """The tokens of the next row at some places; `foils` without the answer."""
    for i, row in enumerate(rows):
        other = rows[(i + 1) % len(rows)]["ids"]
        taking = lambda places: [other[p] if p in places else x for p, x in enumerate(row["ids"])]
        row["corrupted"] = {"all": other}
        for n in (1, 2, 3):
            row["corrupted"][f"cur:L{n}"] = taking([2 * n, 2 * n + 1])
            row["corrupted"][f"prev:L{n}"] = taking(range(2 * n))


class Steps:
    def __init__(self, model, rows, foils):
        self.m, self.rows = Tapped(model), rows
        self.clean = [row["ids"] for row in rows]
        self.foils = [[[f for f in foils if f != answer] for answer in row["answers"]] for row in rows]

    # Scores
    def differences(self, logits):
        """[row, answer]: answer minus largest foil."""
        return torch.stack([torch.stack([logits[i, p, row["answers"][a]] - logits[i, p, self.foils[i][a]].max()
                                         for a, p in enumerate(ANSWERS.values())]) for i, row in enumerate(self.rows)])

    def score(self, ids, edits=()):
        """Mean over rows by answer."""
        return self.differences(self.m.run(ids, edits)[0]).mean(0)

    def acts(self, ids, hooks, edits=()):
        return self.m.run(ids, edits, keep=lambda hook: hook in hooks)[1]

    def corrupted(self, name):
        return [row["corrupted"][name] for row in self.rows]

    # E1, E4, E6 and E2, E5: change of the mean of the answer named by the corruption
    def residual(self, prefix, hook, denoising=False):
        found = {}
        for a, answer in enumerate(ANSWERS):
            other = self.corrupted(f"{prefix}:{answer}")
            into, source = (other, self.clean) if denoising else (self.clean, other)
            base = self.score(into)[a]
            hooks = [f"blocks.{layer}.{hook}" for layer in range(self.m.layers)]
            values = self.acts(source, hooks)
            found[answer] = [[(self.score(into, [(h, self.put(values[h], p))])[a] - base).item() for p in range(len(ROLES))] for h in hooks]
        return found

    @staticmethod
    def put(value, position, head=None):
        def edit(x):
            x = x.clone()
            at = (slice(None), position) if head is None else (slice(None), position, head)
            x[at] = value[at]
            return x
        return edit

    def heads(self, prefix, place=None):
        found, everywhere = {}, slice(None)
        for a, answer in enumerate(ANSWERS):
            hooks = [f"blocks.{layer}.attn.hook_z" for layer in range(self.m.layers)]
            values = self.acts(self.corrupted(f"{prefix}:{answer}"), hooks)
            base = self.score(self.clean)[a]
            at = everywhere if place is None else place
            found[answer] = [[(self.score(self.clean, [(h, self.put(values[h], at, head))])[a] - base).item() for head in range(self.m.heads)] for h in hooks]
        return found

    # Path patching: all heads held at the clean run but the sender
    def hold(self, sender, own, other):
        edits = []
        for layer in range(self.m.layers):
            hook = f"blocks.{layer}.attn.hook_z"

            def edit(x, hook=hook, layer=layer):
                z = own[hook].clone()
                if layer == sender[0]:
                    z[:, :, sender[1]] = other[hook][:, :, sender[1]]
                return z
            edits.append((hook, edit))
        return edits

    def paths(self, receivers):
        """MLPs recomputed. `receivers`: None for the final stream, or (layer, head, channel)."""
        hooks = [f"blocks.{layer}.attn.hook_z" for layer in range(self.m.layers)]
        own, other, base = self.acts(self.clean, hooks), self.acts(self.corrupted("all"), hooks), self.score(self.clean)

        def one(sender):
            edits = self.hold(sender, own, other)
            if receivers is None:
                return self.score(self.clean, edits) - base
            layer, head, channel = receivers
            hook = f"blocks.{layer}.attn.hook_{channel}"
            index = head if channel == "q" else head * self.m.kv_heads // self.m.heads
            value = self.acts(self.clean, [hook], edits)[hook]
            return self.score(self.clean, [(hook, self.put(value, slice(None), index))]) - base
        return [[one((layer, head)).tolist() for head in range(self.m.heads)] for layer in range(self.m.layers)]

    # Attention
    def patterns(self, edits=()):
        hooks = [f"blocks.{layer}.attn.hook_pattern" for layer in range(self.m.layers)]
        found = self.acts(self.clean, hooks, edits)
        return torch.stack([found[hook] for hook in hooks])

    # E10–E12
    def exchanged(self, pair):
        a, b = pair
        swapped = self.patterns()[..., 0].clone()
        swapped[..., [a, b]] = swapped[..., [b, a]]
        return swapped

    @staticmethod
    def column(values, head, queries, renormalise):
        def edit(pattern):
            pattern = pattern.clone()
            pattern[:, head, queries, 0] = values[:, head, queries]
            if renormalise:
                pattern[:, head, queries] /= pattern[:, head, queries].sum(-1, keepdim=True)
            return pattern
        return edit

    def once(self, layer, head):
        """The part of a head's value that no token changes counts once, whatever its row of the pattern adds up to."""
        weight, bias = self.value_map(layer, head)
        norm, key = self.m._parts(self.m.blocks[layer])[5], head * self.m.kv_heads // self.m.heads
        constant = bias + (norm.bias @ weight if self.m.kind == "gpt2" else 0)
        queries = [q for q in range(self.m.heads) if q * self.m.kv_heads // self.m.heads == key]

        def add(at, sign):
            def edit(x):
                x = x.clone()
                x[:, :, at] += sign * constant
                return x
            return edit
        return [(f"blocks.{layer}.attn.hook_v", add([key], -1)), (f"blocks.{layer}.attn.hook_z", add(queries, 1))]

    def position_swap(self, pair):
        """Of position embeddings, or of the positions by whose angles queries and keys are turned."""
        def edit(x):
            x = x.clone()
            x[:, list(pair)] = x[:, list(reversed(pair))]
            return x
        return [("position_ids" if self.m.rotary else "hook_pos_embed", edit)]

    def swap_first(self, pair, renormalise):
        swapped, base = self.exchanged(pair), self.score(self.clean)
        return [[(self.score(self.clean, [(f"blocks.{layer}.attn.hook_pattern", self.column(swapped[layer], head, list(pair), renormalise))]
                            + ([] if renormalise else self.once(layer, head))) - base).tolist()
                 for head in range(self.m.heads)] for layer in range(self.m.layers)]

    def swap_several(self, pair, heads, shown, renormalise):
        swapped, everywhere = self.exchanged(pair), list(range(len(ROLES)))
        first = [(f"blocks.{layer}.attn.hook_pattern", self.column(swapped[layer], head, everywhere, renormalise)) for layer, head in heads]
        if not renormalise:
            groups = {(layer, head * self.m.kv_heads // self.m.heads): (layer, head) for layer, head in heads}
            first = first + [edit for layer, head in groups.values() for edit in self.once(layer, head)]
        conditions = {"clean": [], "first": first, "positions": self.position_swap(pair), "both": self.position_swap(pair) + first}
        return {name: {"metric": self.score(self.clean, edits).tolist(), "attention": self.at_answers(self.patterns(edits)[shown[0]][:, shown[1]])}
                for name, edits in conditions.items()}

    @staticmethod
    def at_answers(pattern):
        """[row, query, key] → [answer][position], mean over rows."""
        return [pattern[:, p].mean(0).tolist() for p in ANSWERS.values()]

    # Weights
    def value_map(self, layer, head):
        """W_V [d_model, d_head] and b_V."""
        attn, d = self.m._parts(self.m.blocks[layer])[0], self.m.d_head
        if self.m.kind == "gpt2":
            cut = slice(2 * self.m.d_model + head * d, 2 * self.m.d_model + (head + 1) * d)
            return attn.c_attn.weight[:, cut], attn.c_attn.bias[cut]
        key = head * self.m.kv_heads // self.m.heads
        return attn.v_proj.weight[key * d : (key + 1) * d].T, torch.zeros(d, dtype=attn.v_proj.weight.dtype)

    def unembedding(self, ids):
        """[ids, d_model]: columns of W_U less their mean over the vocabulary, through the final norm's gain and centring."""
        table = self.m.model.lm_head.weight
        gain = (self.m.body.ln_f if self.m.kind == "gpt2" else self.m.body.norm).weight
        direction = (table[ids] - table.mean(0)) * gain
        return direction - direction.mean(-1, keepdim=True) if self.m.kind == "gpt2" else direction

    def embedded(self, ids, mlp0):
        x = self.m.embed.weight[ids]
        block = self.m.blocks[0]
        _, _, mlp, _, _, _, ln2 = self.m._parts(block)
        return x + mlp(ln2(x)[None])[0] if mlp0 else x

    def through(self, layer, head, x, scaled):
        """x through the norm without its bias, W_V and W_O."""
        norm = self.m._parts(self.m.blocks[layer])[5]
        centred = x - x.mean(-1, keepdim=True) if self.m.kind == "gpt2" else x
        eps = norm.eps if self.m.kind == "gpt2" else norm.variance_epsilon
        scale = (centred.pow(2).mean(-1, keepdim=True) + eps).sqrt() if scaled else 1
        return centred / scale * norm.weight @ self.value_map(layer, head)[0] @ self.m.output_weight(layer)[head]

    def ov(self, layer, head, ids, scaled, mlp0):
        return (self.through(layer, head, self.embedded(ids, mlp0), scaled) @ self.unembedding(ids).T).tolist()

    def copying(self, ids, top, variants):
        """[layer][head]: of how many tokens a variant is among the highest logits of what the head writes for them."""
        x, final = self.embedded(ids, True), self.m.body.ln_f if self.m.kind == "gpt2" else self.m.body.norm

        def count(layer, head):
            logits = self.m.model.lm_head(final(self.through(layer, head, x, False)))
            best = logits.topk(top).indices
            return sum(not variants(token).isdisjoint(row) for token, row in zip(ids, best.tolist()))
        return [[count(layer, head) for head in range(self.m.heads)] for layer in range(self.m.layers)]

    def scatter(self, layer, head):
        """[row][answer][token]: what the head writes at the answer to each answer's token, and the final norm's scale there."""
        hook, scale_hook = f"blocks.{layer}.attn.hook_z", "ln_final.hook_scale"
        acts = self.acts(self.clean, [hook, scale_hook])
        weight, bias = self.value_map(layer, head)
        norm = self.m._parts(self.m.blocks[layer])[5]
        constant = bias + (norm.bias @ weight if self.m.kind == "gpt2" else 0)
        places = list(ANSWERS.values())
        written = (acts[hook][:, places, head] - constant) @ self.m.output_weight(layer)[head]
        y = torch.stack([written[i] @ self.unembedding(row["answers"]).T for i, row in enumerate(self.rows)])
        return {"y": y.tolist(), "scale": acts[scale_hook][:, places, 0].tolist()}


@torch.no_grad()
def figures(folder, rows, foils, made, top):
    load = lambda: AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float64).eval()
    corrupt(rows)
    steps = Steps(load(), rows, foils)
    check(load(), steps.m, [row["ids"] for row in rows], 2e-5)
    last = steps.m.layers - 1
    pair, shown, several = (2, 4), (last, 1), [(0, 1), (0, 2), (last, 0)]
    mean = steps.patterns().mean(1)
    tokens = sorted({row["ids"][2] for row in rows} | {row["answers"][0] for row in rows})
    sets = {"tokens": tokens, "head": list(shown)}
    return {
        "made": made, "rows": [{**row, "foils": steps.foils[i]} for i, row in enumerate(rows)],
        "clean": steps.score(steps.clean).tolist(),
        "residual": {"cur": steps.residual("cur", "hook_resid_pre"), "prev": steps.residual("prev", "hook_resid_pre"),
                     "mlp_out": steps.residual("cur", "hook_mlp_out"), "denoising": steps.residual("cur", "hook_resid_pre", True)},
        "heads": {"cur": steps.heads("cur"), "prev@A1": steps.heads("prev", 9)},
        "paths": {"final": steps.paths(None), "q": steps.paths((last, 1, "q")), "k": steps.paths((last, 1, "k")), "v": steps.paths((last, 2, "v"))},
        "meanPattern": mean[last].tolist(), "attention": steps.at_answers(steps.patterns()[shown[0]][:, shown[1]]), "shown": list(shown),
        "swapFirst": {"published": steps.swap_first(pair, False), "renormalised": steps.swap_first(pair, True)}, "pair": list(pair),
        "swapSeveral": {"heads": several, "published": steps.swap_several(pair, several, shown, False), "renormalised": steps.swap_several(pair, several, shown, True)},
        "ov": {**sets, "plain": steps.ov(*shown, tokens, False, False), "full": steps.ov(*shown, tokens, True, True)},
        "copying": {"tokens": tokens, "top": top, "counts": steps.copying(tokens, top, spellings(folder))}, "scatter": steps.scatter(*shown),
    }


def rounded(value):
    """Ten digits are more than any tolerance and keep the files small."""
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    return [rounded(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def main():
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    made = {**made_with(), "script": "scripts/reference/acronymSteps.py", "dtype": "float64"}
    for seed, name in enumerate(("gpt2", "llama-tied")):
        rows, foils = random_rows(272, seed)
        write_json(ROOT / f"test/reference/steps-{name}.json", rounded(figures(ROOT / "test/reference/models" / name, rows, foils, made, 30)))
    folder = ROOT / "models/acronyms"
    rows, foils = acronym_rows(folder)
    write_json(ROOT / "test/reference/steps-acronyms.json", rounded(figures(folder, rows, foils, made, 5)))


if __name__ == "__main__":
    main()
