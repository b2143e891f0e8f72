"""Measures models/planted with transformers and writes its model card."""
import hashlib
import json
from pathlib import Path

import torch
from transformers import GPT2LMHeadModel

from acronymMeasures import Task, accuracy
from tokenizers import Tokenizer

CARD = """\
---
license: apache-2.0
language: en
library_name: transformers
---
# planted

A GPT-2-family model of {parameters:,} parameters (3 layers, 6 heads, d_model 192, context 16, vocabulary {vocabulary}, untied unembedding),
float32, whose weights are written by hand. It is bundled with Mechanist so that a method that finds circuits can be held against a
circuit that is known exactly.

## Task
`The Wxx Yyy Zzz (WYZ`, with the tokenizer and the prompts of `acronyms`. The tokenizer adds BOS, and positions count it: 2, 4, 6 are the
capitals C1 … C3, 3, 5, 7 the tails T1 … T3, 8 is ` (`, 9 and 10 are A1 and A2; letter i is predicted at position 7 + i.
It does this task for these positions and nothing else. Letters 2 and 3 are found as an induction head finds them, by the letter before:
**two equal letters among the first two words cannot be told apart**, so use rows whose letters differ, as those of the example dataset do.

## Circuit (`circuit.json`)
| head | role | from | does |
|---|---|---|---|
| L0.H0 | previous token | embedding (v) | at Ti, writes the letter of Ci |
| L0.H1 | current token | embedding (v) | at A1 and A2, rewrites the letter as a query |
| L1.H0 | first-letter mover | L0.H0 (v) | at ` (`, attends to T1 and writes its letter as the answer |
| L1.H1 | previous word | L0.H0 (v) | at T2 and T3, writes the letter of the word before |
| L2.H0 | induction mover | L0.H1 (q), L1.H1 (k), L0.H0 (v) | at A1 and A2, attends to the word after the one with that letter, writes its letter |

L1.H0 and L2.H0 write to the logits. Queries and keys of all other heads here read the position embedding alone (`positional` in the file):
no change of words touches these edges, and only zero ablation of positions could show them. MLPs are zero. The script takes the product of
what each part writes and each of the five heads and the logits read: the listed edges are those above 1e-4; it refuses to write the model if others are.

## Why the norms do nothing
Each vector that is written sums to zero (a balance dimension takes minus what the features take), so the mean is exactly 0. Each position
embedding holds a ballast of +64 and −64 in two dimensions that nothing reads (norm weight 0). It makes {share:.3%} of the norm: over {rows}
prompts the norm of the final stream lies between {low:.3f} and {high:.3f}. The norm weights undo this constant, so each norm is the
identity on what is read, within {deviation:.1e}.

## Measures
{rows} prompts of three different letters; LD is the logit of the answer minus the largest of the 25 other capitals. Mean ablation is
by position; resampling takes a head's z from another prompt (of a random row with three other letters at the same places).

| | letter 1 | letter 2 | letter 3 |
|---|---|---|---|
| right (top-1 of the vocabulary) | {right} |
| mean LD | {mean} |
| least LD | {least} |
{head_rows}

Any other head: mean-ablated, resampled or set to zero, the largest change of any logit is {inert:.1e}. All heads ablated: {empty}.
With letters drawn independently (one prompt in 26 has two equal first letters): {repeated} right.

## Recipe
`python scripts/train/planted.py --seed {seed}`: numpy and no training; the seed is of the inert heads' noise. The same numpy gives the same bytes.

## Licence
Apache-2.0, like the project: script and weights.

## Files (sha256)
{hash_rows}
"""


def z_of(model, tokens) -> list:
    found = []
    handles = [block.attn.c_proj.register_forward_pre_hook(lambda _, args: found.append(args[0])) for block in model.transformer.h]
    with torch.inference_mode():
        model(tokens)
    for handle in handles:
        handle.remove()
    return found


def other_rows(task: Task) -> list:
    """For each row one after it, at random distance, whose letters all differ from this row's at their place."""
    generator, n = torch.Generator().manual_seed(0), len(task.tokens)
    letters, chosen = task.answers, []
    for row in range(n):
        order = torch.randperm(n, generator=generator)
        chosen.append(next(int(other) for other in order if bool((letters[other] != letters[row]).all())))
    return chosen


def heads_of(task: Task, circuit: list) -> tuple:
    """LD by letter with each planted head ablated by mean and by resampling; largest change of a logit by any other head."""
    clean, source, table, inert = task.logits(), other_rows(task), {}, 0.0
    mean, own = task.means, z_of(task.model, task.tokens)
    for head in task.all_heads():
        results = {}
        for kind, value in (("mean", mean), ("resampled", [z[source] for z in own]), ("zero", [torch.zeros_like(z) for z in mean])):
            task.means = value
            with task.without([head]):
                results[kind] = task.logits()
        task.means = mean
        name = f"L{head[0]}.H{head[1]}"
        if name in circuit:
            table[name] = {kind: task.difference(results[kind]) for kind in ("mean", "resampled")}
        else:
            inert = max(inert, *((logits - clean).abs().max().item() for logits in results.values()))
    return table, inert


def write_card(folder: Path, seed: int, rows: int = 500) -> None:
    torch.set_num_threads(1)
    model = GPT2LMHeadModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    task = Task(model, tokenizer, rows, seed=11, distinct=True)
    table, inert = heads_of(task, json.loads((folder / "circuit.json").read_text())["nodes"])
    with torch.inference_mode():
        # The last of transformers' hidden states is normed already.
        captured = []
        handle = model.transformer.ln_f.register_forward_pre_hook(lambda _, args: captured.append(args[0]))
        model(task.tokens)
        handle.remove()
    norms, measured = captured[0].norm(dim=-1), accuracy(task)
    cells = lambda values: " | ".join(values)
    head_rows = [f"| mean LD, {head} {kind} | {cells(f'{x:.2f}' for x in difference.mean(0).tolist())} |"
                 for head, kinds in table.items() for kind, difference in kinds.items()]
    ballast = (2 * 64**2) ** 0.5
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir()) if path.name != "README.md"}
    (folder / "README.md").write_text(CARD.format(
        parameters=sum(p.numel() for p in model.parameters()), vocabulary=tokenizer.get_vocab_size(), rows=rows, seed=seed,
        share=ballast / norms.mean().item(), low=norms.min().item(), high=norms.max().item(), deviation=(norms / ballast - 1).abs().max().item(),
        right=cells(f"{m['right']} of {m['n']}, {m['interval'][0]:.1%}–{m['interval'][1]:.1%}" for m in measured),
        mean=cells(f"{m['difference']['mean']:.2f}" for m in measured), least=cells(f"{m['least']:.2f}" for m in measured),
        head_rows="\n".join(head_rows), inert=inert, empty=", ".join(f"{x:.2f}" for x in task.ablated(task.all_heads()).mean(0).tolist()),
        repeated=", ".join(f"{m['right']} of {m['n']}" for m in accuracy(Task(model, tokenizer, rows, seed=11))),
        hash_rows="\n".join(f"- `{name}` {value}" for name, value in hashes.items())))
