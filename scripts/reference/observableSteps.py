"""Scores of features over texts, edits of the stream along a feature, and probes: test/reference/observable-steps.json, float64.

Everything is written from its definition: covariances as matrices, edits by hooks on the library's modules (`interventionsModel.py`),
least squares by LAPACK, logistic regression by L-BFGS. Nothing is shared with the engine.
Usage: observableSteps.py
"""
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from interventionsModel import Tapped, check
from packed import made_with, pack, write_json

ROOT = Path(__file__).parents[2]
HOOKS = ["blocks.2.hook_resid_pre", "blocks.1.hook_resid_mid", "blocks.1.hook_resid_pre", "blocks.2.hook_resid_pre"]
PLACE, LENGTH = 3, 8


def statistics(x, y, here):
    """Slope of y on x with its standard error and r²; C_S from the covariance matrix of what stands at the row's hook."""
    n = len(x)
    design = np.stack([np.ones(n), x], 1)
    (intercept, slope), _, _, _ = np.linalg.lstsq(design, y, rcond=None)
    residual = y - design @ np.array([intercept, slope])
    error = np.sqrt((residual @ residual / (n - 2) * np.linalg.inv(design.T @ design))[1, 1])
    acts, first, second = here
    covariance = np.cov(acts, rowvar=False)
    c_s = first @ covariance @ second / (first @ covariance @ first)
    return {"slope": slope, "slopeError": error, "rSquared": np.corrcoef(x, y)[0, 1] ** 2, "covariance": c_s}


def corpus(tapped, draw, vectors):
    windows = [draw(12) for _ in range(8)]
    _, acts = tapped.run(windows, keep=lambda hook: hook in HOOKS)
    # The first token of a window is not read.
    at = {hook: acts[hook][:, 1:].reshape(-1, tapped.d_model).numpy() for hook in set(HOOKS)}
    own = [at[hook] @ v for hook, v in zip(HOOKS, vectors)]
    pairs = [{"row": r, "column": c, **statistics(own[r], own[c], (at[HOOKS[r]], vectors[r], vectors[c]))}
             for r in range(len(HOOKS)) for c in range(len(HOOKS)) if r != c]
    return {"windows": windows, "pairs": pairs, "scores": pack(np.stack(own, 1))}


def kl(p, q):
    p, q = p.log_softmax(-1), q.log_softmax(-1)
    return (p.exp() * (p - q)).sum(-1)


def along(unit, positions, target):
    """An edit: at the positions x · unit becomes the target, one a prompt."""
    def edit(x):
        x = x.clone()
        for item in range(len(x)):
            rows = x[item, positions]
            x[item, positions] = rows + (target[item] - rows @ unit)[:, None] * unit
        return x
    return edit


def debias(tapped, draw, hook, vector, terms):
    clean = [draw(LENGTH) for _ in range(6)]
    other = [[*ids[:PLACE], *draw(2), *ids[PLACE + 2:]] for ids in clean]
    controls = [draw(10) for _ in range(3)]
    unit = torch.from_numpy(vector / np.linalg.norm(vector))
    values = lambda logits: [[sum(w * row[i] for i, w in own).item() for row in logits] for own in terms]
    runs = [tapped.run(ids, keep=lambda h: h == hook) for ids in (clean, other)]
    before = [logits[:, -1] for logits, _ in runs]
    has = [acts[hook][:, PLACE] @ unit for _, acts in runs]
    mean = torch.cat(has).mean()
    targets = {"project-out": [torch.zeros(6), torch.zeros(6)], "set-to-mean": [mean.repeat(6)] * 2, "pair-patch": [has[0], has[0]]}
    modes = {}
    for mode, sides in targets.items():
        after = [tapped.run(ids, [(hook, along(unit, [PLACE], target))])[0][:, -1] for ids, target in zip((clean, other), sides)]
        control = None
        if mode != "pair-patch":
            target = torch.full((3,), 0.0 if mode == "project-out" else mean.item(), dtype=torch.float64)
            logits = tapped.run(controls, [(hook, along(unit, list(range(1, 10)), target))])[0]
            control = loss(logits, controls)
        modes[mode] = {"values": [values(side) for side in after], "kl": [kl(a, b).tolist() for a, b in zip(before, after)],
                       "control": control}
    steered = tapped.run(other, [(hook, along(unit, [PLACE], has[1] + 2.5))])[0][:, -1]
    return {"hook": hook, "clean": clean, "corrupted": other, "controls": controls, "coefficients": [own.tolist() for own in has],
            "before": [values(side) for side in before], "control": loss(tapped.run(controls)[0], controls), "modes": modes,
            "steered": {"amount": 2.5, "values": values(steered), "kl": kl(before[1], steered).tolist()}}


def loss(logits, ids):
    """Mean cross-entropy of the next tokens, predicted from the second position on."""
    logprobs = logits[:, 1:-1].log_softmax(-1)
    return -logprobs.gather(-1, torch.tensor(ids)[:, 2:, None]).mean().item()


def probes(generator, n, d):
    x = torch.randn(n, d, generator=generator, dtype=torch.float64) * 2 + 1
    truth = torch.randn(d, generator=generator, dtype=torch.float64)
    positive = torch.arange(n) % 2 == 0
    x = x + 0.3 * torch.where(positive, 1.0, -1.0)[:, None] * truth
    y = x @ truth + torch.randn(n, generator=generator, dtype=torch.float64)
    centred = x - x.mean(0)
    linear = torch.linalg.lstsq(centred, y - y.mean(), driver="gelsd").solution
    z = centred * (d / (centred ** 2).sum(1).mean()).sqrt()
    weights = torch.zeros(d + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=2000, tolerance_grad=1e-12, tolerance_change=1e-16, line_search_fn="strong_wolfe")

    def objective():
        optimizer.zero_grad()
        margin = torch.where(positive, 1.0, -1.0) * (z @ weights[:d] + weights[d])
        value = torch.nn.functional.softplus(-margin).sum() + weights[:d] @ weights[:d] / 2
        value.backward()
        return value

    optimizer.step(objective)
    logistic = weights[:d].detach() * (d / (centred ** 2).sum(1).mean()).sqrt()
    mean = x[positive].mean(0) - x[~positive].mean(0)
    return {"n": n, "d": d, "x": x.tolist(), "y": y.tolist(), "linear": linear.tolist(), "logistic": logistic.tolist(), "mean": mean.tolist()}


def figures(name, seed):
    path = ROOT / "test/reference/models" / name
    load = lambda: AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager", dtype=torch.float64)
    model = load()
    tapped = Tapped(model)
    generator = torch.Generator().manual_seed(seed)
    draw = lambda n: torch.randint(0, model.config.vocab_size, (n,), generator=generator).tolist()
    check(load(), tapped, [draw(9)], 1e-4)
    vectors = [torch.randn(tapped.d_model, generator=generator, dtype=torch.float64).numpy() for _ in HOOKS]
    terms = [[(draw(1)[0], 1.0), (draw(1)[0], -1.0)] for _ in range(2)]
    return {"model": name, "hooks": HOOKS, "vectors": [v.tolist() for v in vectors], "place": PLACE,
            "terms": [[{"id": i, "weight": w} for i, w in own] for own in terms], "corpus": corpus(tapped, draw, vectors),
            "debias": [debias(tapped, draw, HOOKS[i], vectors[i], terms) for i in (1, 2)]}


def main():
    with torch.no_grad():
        models = [figures(name, seed) for seed, name in enumerate(("gpt2", "llama-tied"), 11)]
    generator = torch.Generator().manual_seed(7)
    made = [probes(generator, n, d) for n, d in ((6, 10), (40, 10), (16, 16))]
    about = {**made_with(), "script": "scripts/reference/observableSteps.py", "dtype": "float64"}
    write_json(ROOT / "test/reference/observable-steps.json", {"schemaVersion": 1, "madeWith": about, "models": models, "probes": made})


if __name__ == "__main__":
    main()
