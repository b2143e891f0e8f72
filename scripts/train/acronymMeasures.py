"""What a circuit of an acronym model must show, by PyTorch hooks on transformers' own modules: nothing of Mechanist takes part.

LD is the logit of the answer minus the largest of the 25 other bare capitals. Ablating a head puts its mean over the rows, at each
position, in the place of its output z. F = (M(circuit) − M(no head)) / (M(all heads) − M(no head)), M the mean LD over rows and letters.
"""
import random
from contextlib import contextmanager

import torch

from acronymText import ANSWERS, CAPITALS, Ids, Prompts

ROWS, CIRCUIT_ROWS, DRAWS, ENOUGH = 2000, 300, 200, 0.9


class Task:
    """Prompts of words that were never generated for training, and the model's answers with any heads ablated."""

    def __init__(self, model, tokenizer, rows: int, seed: int, distinct: bool = False):
        self.model, self.ids = model, Ids(tokenizer)
        prompts = Prompts(seed, held_out=True)
        tokens = torch.tensor([self.ids.row(prompts.parts(distinct=distinct)) for _ in range(rows)])
        self.tokens, self.answers = tokens[:, :-1], tokens[:, ANSWERS[0] + 1 :]
        self.capitals = torch.tensor([self.ids.bare[c] for c in CAPITALS])
        self.layers, self.heads = model.config.n_layer, model.config.n_head
        self.means = self.z_means()

    @torch.inference_mode()
    def logits(self, tokens=None):
        return self.model(self.tokens if tokens is None else tokens).logits[:, list(ANSWERS)]

    def z_means(self) -> list:
        found, handles = [], []
        for block in self.model.transformer.h:
            handles.append(block.attn.c_proj.register_forward_pre_hook(lambda _, args: found.append(args[0].mean(0, keepdim=True))))
        self.logits()
        for handle in handles:
            handle.remove()
        return found

    @contextmanager
    def without(self, heads):
        """Mean-ablates heads, (layer, head) each."""
        def ablate(layer, mean):
            def hook(_, args):
                z = args[0].clone()
                size = z.shape[-1] // self.heads
                for _, head in (one for one in heads if one[0] == layer):
                    z[..., head * size : (head + 1) * size] = mean[..., head * size : (head + 1) * size]
                return (z,)
            return hook
        handles = [block.attn.c_proj.register_forward_pre_hook(ablate(layer, self.means[layer]))
                   for layer, block in enumerate(self.model.transformer.h)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def difference(self, logits):
        """`[row, letter]`."""
        capitals = logits[..., self.capitals]
        others = capitals.masked_fill(self.capitals == self.answers[..., None], -torch.inf)
        return logits.gather(-1, self.answers[..., None])[..., 0] - others.amax(-1)

    def ablated(self, heads):
        with self.without(heads):
            return self.difference(self.logits())

    def all_heads(self) -> list:
        return [(layer, head) for layer in range(self.layers) for head in range(self.heads)]


def wilson(right: int, n: int) -> list:
    """95 % interval of a share."""
    p, z = right / n, 1.96
    middle, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    return [round((middle + sign * half) / (1 + z * z / n), 4) for sign in (-1, 1)]


def mean_interval(values) -> dict:
    half = 1.96 * values.std().item() / len(values) ** 0.5
    return {"mean": round(values.mean().item(), 3), "interval": [round(values.mean().item() + sign * half, 3) for sign in (-1, 1)]}


def accuracy(task: Task) -> list:
    logits, rows = task.logits(), len(task.tokens)
    difference, first = task.difference(logits), logits.argmax(-1) == task.answers
    return [{"letter": i + 1, "n": rows, "right": int(first[:, i].sum()), "interval": wilson(int(first[:, i].sum()), rows),
             "difference": mean_interval(difference[:, i]), "least": round(difference[:, i].min().item(), 3)} for i in range(3)]


def prune(task: Task) -> dict:
    """Backward greedy: again and again takes away the head whose loss costs M least, as long as F stays at `ENOUGH`."""
    everything = task.all_heads()
    full, empty = task.ablated([]).mean(), task.ablated(everything).mean()
    faithfulness = lambda circuit: ((task.ablated([h for h in everything if h not in circuit]).mean() - empty) / (full - empty)).item()
    circuit = everything
    while len(circuit) > 1:
        best = max(([h for h in circuit if h != gone] for gone in circuit), key=faithfulness)
        if faithfulness(best) < ENOUGH:
            break
        circuit = best
    found, draws = faithfulness(circuit), random.Random(0)
    null = sorted(faithfulness(draws.sample(everything, len(circuit))) for _ in range(DRAWS))
    lower = sum(value < found for value in null)
    return {"rows": len(task.tokens), "heads": [f"L{layer}.H{head}" for layer, head in circuit], "size": len(circuit), "of": len(everything),
            "faithfulness": round(found, 3), "draws": DRAWS, "lower": lower, "interval": wilson(lower, DRAWS),
            "median": round(null[DRAWS // 2], 3), "largest": round(null[-1], 3), "full": round(full.item(), 3), "empty": round(empty.item(), 3),
            "necessary": {f"L{layer}.H{head}": [round(x, 2) for x in task.ablated([(layer, head)]).mean(0).tolist()] for layer, head in everything},
            "emptyByLetter": [round(x, 3) for x in task.ablated(everything).mean(0).tolist()]}


def corruptions(task: Task) -> dict:
    """Mean change of LD of letter i when the word j is another row's (its letter another): `[j][i]`, A1 and A2 kept."""
    clean, changes, source = task.difference(task.logits()), [], task.tokens.roll(1, 0)
    for word in range(3):
        at = [2 + 2 * word, 3 + 2 * word]
        tokens = task.tokens.clone()
        tokens[:, at] = source[:, at]
        other = tokens[:, at[0]] != task.tokens[:, at[0]]
        changes.append((task.difference(task.logits(tokens)) - clean)[other].mean(0).tolist())
    ratio = min(abs(changes[j][j]) / max(abs(changes[j][i]) for i in range(3) if i != j) for j in range(3))
    return {"changes": [[round(x, 3) for x in row] for row in changes], "ratio": round(ratio, 2)}


def zeroed_layers(task: Task) -> list:
    """Mean LD by letter with all heads of one layer at zero: unlike their mean, this takes away what depends on the position alone."""
    mean, task.means = task.means, [torch.zeros_like(z) for z in task.means]
    values = [task.ablated([one for one in task.all_heads() if one[0] == layer]).mean(0).tolist() for layer in range(task.layers)]
    task.means = mean
    return [[round(x, 2) for x in row] for row in values]


def measure_all(model, tokenizer) -> dict:
    big = Task(model, tokenizer, ROWS, seed=11)
    return {"zeroed": zeroed_layers(big), "accuracy": accuracy(big), "circuit": prune(Task(model, tokenizer, CIRCUIT_ROWS, seed=12)), "corruptions": corruptions(big)}
