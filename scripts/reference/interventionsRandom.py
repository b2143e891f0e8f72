"""Interventions, gradients and sweeps on the small random models, in float64: test/reference/interventions-<model>.json."""
import base64
import json
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM

import interventionsMath as im
from interventionsModel import Tapped, check
from packed import pack, write_json

ROOT = Path(__file__).parents[2]
LENGTH, ANSWER, FOIL, STEPS = 10, 17, 42, 16
FOILS = [FOIL, 3, 99, 250]
SITES = ("hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out", "hook_mlp_out")
HEAD_SITES = ("attn.hook_z", "attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_pattern")
GRADIENT_HOOKS = ("hook_resid_pre", "attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_rot_q", "attn.hook_rot_k",
                  "attn.hook_attn_scores", "attn.hook_pattern", "attn.hook_z", "hook_attn_out", "hook_resid_mid",
                  "mlp.hook_pre", "mlp.hook_pre_linear", "mlp.hook_post", "hook_mlp_out", "hook_resid_post",
                  "ln1.hook_normalized", "ln2.hook_normalized", "ln1.hook_scale", "ln2.hook_scale")
GLOBAL_GRADIENTS = ("hook_embed", "ln_final.hook_scale", "ln_final.hook_normalized")
SAMPLED, COLUMN_STEP = 48, 4


def load(folder: Path, dtype):
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=dtype).eval()


class Draw:
    """Seeded vectors with few digits, so that the numbers in the file are the numbers used."""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, *shape, size=1.0):
        values = torch.randn(shape, generator=self.generator, dtype=torch.float64) * size
        return (values * 1000).round().div(1000).tolist()


def cases(model: Tapped, draw: Draw):
    """`name: [intervention, ...]`, in order. Batch item 0 is the base prompt, item 1 the other one."""
    d, dh, last = model.d_model, model.d_head, model.layers - 1
    up = model._parts(model.blocks[0])[3]
    d_mlp = up[0][0].weight.shape[1 if model.kind == "gpt2" else 0]
    z, kv = "blocks.1.attn.hook_z", model.kv_heads - 1
    resid, mid = "blocks.1.hook_resid_pre", "blocks.1.hook_resid_post" if model.parallel else "blocks.1.hook_resid_mid"
    add = {"kind": "add", "hook": resid, "positions": [4], "vector": draw(d)}
    found = {
        "nothing": [],
        "zero-head": [{"kind": "zero", "hook": z, "heads": [2]}],
        "zero-head-at-positions": [{"kind": "zero", "hook": "blocks.0.attn.hook_z", "heads": [0, 3], "positions": [4, 9]}],
        "zero-mlp": [{"kind": "zero", "hook": "blocks.1.hook_mlp_out"}],
        "zero-neurons": [{"kind": "zero", "hook": "blocks.1.mlp.hook_post", "neurons": [3, 17, 40]}],
        "zero-embed-at-position": [{"kind": "zero", "hook": "hook_embed", "positions": [2]}],
        "zero-head-of-one-item": [{"kind": "zero", "hook": z, "heads": [2], "items": [1]}],
        "mean-over-batch": [{"kind": "mean", "over": "batch", "hook": z, "heads": [1]}],
        "mean-over-positions": [{"kind": "mean", "over": "position", "hook": z, "heads": [1]}],
        "mean-over-all": [{"kind": "mean", "over": "all", "hook": "blocks.1.hook_mlp_out"}],
        "set-resid": [{"kind": "set", "hook": resid, "positions": [4], "vector": draw(d)}],
        "set-value": [{"kind": "set", "hook": "blocks.1.attn.hook_v", "heads": [kv], "positions": [3], "vector": draw(dh)}],
        "set-query": [{"kind": "set", "hook": "blocks.1.attn.hook_q", "heads": [3], "positions": [9], "vector": draw(dh)}],
        "set-key": [{"kind": "set", "hook": "blocks.1.attn.hook_k", "heads": [kv], "positions": [5], "vector": draw(dh)}],
        "add-resid": [add],
        "add-to-mid-everywhere": [{"kind": "add", "hook": mid, "vector": draw(d, size=0.5)}],
        "add-to-head-result": [{"kind": "add", "hook": "blocks.1.attn.hook_result", "heads": [2], "positions": [9], "vector": draw(d)}],
        "add-to-attn-out": [{"kind": "add", "hook": "blocks.0.hook_attn_out", "positions": [6], "vector": draw(d)}],
        "scale-head": [{"kind": "scale", "hook": z, "heads": [0], "factor": 0.5}],
        "scale-mlp": [{"kind": "scale", "hook": "blocks.0.hook_mlp_out", "factor": -2}],
        "scale-result": [{"kind": "scale", "hook": "blocks.0.attn.hook_result", "heads": [1], "factor": 3}],
        "scale-norm": [{"kind": "scale", "hook": "blocks.1.ln1.hook_scale", "positions": [5], "factor": 1.5}],
        "scale-final-norm": [{"kind": "scale", "hook": "ln_final.hook_scale", "factor": 0.8}],
        "add-final-normalized": [{"kind": "add", "hook": "ln_final.hook_normalized", "vector": draw(d, size=0.3)}],
        "project-out": [{"kind": "project-out", "hook": "blocks.0.hook_resid_post", "vector": draw(d)}],
        "swap-positions-embed": [{"kind": "swap-positions", "hook": "hook_embed", "pair": [3, 6]}],
        "swap-positions-head": [{"kind": "swap-positions", "hook": z, "pair": [8, 9], "heads": [1]}],
        "pattern-entry": [{"kind": "set-entries", "hook": "blocks.1.attn.hook_pattern", "heads": [1], "positions": [9], "keys": [8], "value": 0.75}],
        "pattern-entry-renormalized": [{"kind": "set-entries", "hook": "blocks.1.attn.hook_pattern", "heads": [1], "positions": [9],
                                        "keys": [8], "value": 0.75, "renormalize": True}],
        "score-entry": [{"kind": "set-entries", "hook": "blocks.1.attn.hook_attn_scores", "heads": [1], "positions": [9], "keys": [7], "value": 3}],
        "scale-pre-of-neurons": [{"kind": "scale", "hook": "blocks.0.mlp.hook_pre", "neurons": [0, 5], "factor": 2}],
        "freeze-later-norms": [add] + [{"kind": "patch", "from": "own", "hook": h} for layer in range(1, last + 1)
                                       for h in (f"blocks.{layer}.ln1.hook_scale", f"blocks.{layer}.ln2.hook_scale")]
                              + [{"kind": "patch", "from": "own", "hook": "ln_final.hook_scale"}],
        "freeze-later-patterns": [add] + [{"kind": "patch", "from": "own", "hook": f"blocks.{layer}.attn.hook_pattern"}
                                          for layer in range(1, last + 1)],
        "freeze-later-mlps": [add] + [{"kind": "patch", "from": "own", "hook": f"blocks.{layer}.hook_mlp_out"}
                                      for layer in range(1, last + 1)],
        "low-rank-mlp": [{"kind": "low-rank", "hook": "blocks.1.hook_mlp_out", "P": draw(d, d, size=0.2), "A": draw(d, d, size=0.2),
                          "b": draw(d)}],
        "zero-then-add": [{"kind": "zero", "hook": resid, "positions": [4]}, add],
        "add-then-zero": [add, {"kind": "zero", "hook": resid, "positions": [4]}],
        "several-hooks": [{"kind": "zero", "hook": "blocks.0.attn.hook_z", "heads": [1]}, add,
                          {"kind": "scale", "hook": "blocks.1.hook_mlp_out", "factor": 0.5},
                          {"kind": "patch", "from": "other", "hook": f"blocks.{last}.attn.hook_z", "heads": [2]}],
    }
    if not model.rotary:
        found["swap-positions-pos-embed"] = [{"kind": "swap-positions", "hook": "hook_pos_embed", "pair": [3, 6]}]
        found["zero-pos-embed"] = [{"kind": "zero", "hook": "hook_pos_embed"}]
    sources = ["hook_resid_pre", "attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_attn_scores", "attn.hook_pattern", "attn.hook_z",
               "hook_attn_out", "hook_resid_mid", "mlp.hook_pre", "mlp.hook_pre_linear", "mlp.hook_post", "hook_mlp_out",
               "ln1.hook_scale", "ln2.hook_scale", "ln1.hook_normalized", "ln2.hook_normalized", "hook_resid_post"]
    if model.rotary:
        sources += ["attn.hook_rot_q", "attn.hook_rot_k"]
    for source in sources:
        if (source == "hook_resid_mid" and model.parallel) or (source == "mlp.hook_pre_linear" and len(up) == 1):
            continue
        found[f"patch-{source}"] = [{"kind": "patch", "from": "other", "hook": f"blocks.1.{source}"}]
    return found


def interventions(model: Tapped, own, other, draw: Draw):
    everything = lambda hook: True
    _, own_acts = model.run([own], keep=everything)
    _, other_acts = model.run([other], keep=everything)
    # `own`: the unedited run of the same batch; `other`: the unedited run of the other prompt.
    both = {hook: torch.cat([own_acts[hook], other_acts[hook].expand_as(own_acts[hook])]) for hook in own_acts if hook != "hook_pos_embed"}
    records, plain = [], None
    for name, specs in cases(model, draw).items():
        logits, _ = model.run([own, other], im.edits_of(specs, model, {"own": both, "other": other_acts}))
        plain = logits if plain is None else plain
        assert name == "nothing" or (logits - plain).abs().max() > 1e-6 or name == "zero-head-of-one-item", name
        rows = [LENGTH - 1] if name.startswith("patch-") else [6, LENGTH - 1]
        records.append({"name": name, "interventions": specs, "rows": rows, "logits": pack(logits[:, rows, ::COLUMN_STEP]),
                        "differences": im.difference(logits, ANSWER, FOIL).tolist()})
    return records


def gradient_figures(model: Tapped, ids, draw: Draw):
    """∂ logit difference: at every hook point [batch, pos, …]; of the weights of the first and last block, norms and samples."""
    wanted = {f"blocks.{layer}.{hook}" for layer in range(model.layers) for hook in GRADIENT_HOOKS} | set(GLOBAL_GRADIENTS)
    for parameter in model.model.parameters():
        parameter.requires_grad_(True)
    logits, acts = model.run([ids], keep=lambda hook: hook in wanted, grads=True)
    value = im.difference(logits, ANSWER, FOIL)[0]
    names = list(acts)
    weights = {name: p for name, p in model.model.named_parameters()
               if any(f".{kind}.{layer}." in name for kind in ("h", "layers") for layer in (0, model.layers - 1))
               or "ln_f" in name or name.endswith(("model.norm.weight", "final_layer_norm.weight", "final_layer_norm.bias"))}
    found = torch.autograd.grad(value, [acts[n] for n in names] + list(weights.values()))
    for parameter in model.model.parameters():
        parameter.requires_grad_(False)
    by_weight = {}
    for (name, parameter), gradient in zip(weights.items(), found[len(names):], strict=True):
        flat = gradient.reshape(-1)
        chosen = torch.randperm(len(flat), generator=draw.generator)[:SAMPLED].sort().values
        by_weight[name] = {"shape": list(parameter.shape), "norm": flat.norm().item(), "indices": chosen.tolist(), "values": pack(flat[chosen])}
    return {"value": value.item(), "hooks": {n: pack(g) for n, g in zip(names, found, strict=False)}, "weights": by_weight}


def finite_difference_check(model: Tapped, ids, figures):
    """Autograd's numbers against a central difference at one entry of each hook of the middle layer."""
    worst = 0.0
    for hook, packed in figures["hooks"].items():
        if not hook.startswith("blocks.1."):
            continue
        _, acts = model.run([ids], keep=lambda h: h == hook)
        index = tuple(size // 2 for size in acts[hook].shape)

        def at(step):
            def edit(x):
                x = x.clone()
                x[index] += step
                return x

            return im.difference(model.run([ids], [(hook, edit)])[0], ANSWER, FOIL)[0].item()

        numeric = (at(1e-5) - at(-1e-5)) / 2e-5
        exact = np.frombuffer(base64.b64decode(packed["f32"]), "<f4").reshape(packed["dims"])[index]
        worst = max(worst, abs(numeric - exact))
    assert worst < 1e-5, worst
    return worst


def sweeps(model: Tapped, own, other):
    _, own_acts = model.run([own], keep=lambda hook: hook != "hook_pos_embed")
    _, other_acts = model.run([other], keep=lambda hook: hook != "hook_pos_embed")
    mean = {hook: (own_acts[hook] + other_acts[hook]) / 2 for hook in own_acts}
    sites = [s for s in SITES if not (model.parallel and s == "hook_resid_mid")]
    figures = {"zeroHeads": im.ablate_heads(model, own, ANSWER, FOIL), "zeroMlps": im.ablate_mlps(model, own, ANSWER, FOIL),
               "meanHeads": im.ablate_heads(model, own, ANSWER, FOIL, mean)}
    result = {key: pack(value) for key, value in figures.items()}
    for direction, base, base_acts, source in (("noising", own, own_acts, other_acts), ("denoising", other, other_acts, own_acts)):
        exact = {site: im.patch_positions(model, base, source, site, ANSWER, FOIL) for site in sites}
        exact |= {site: im.patch_heads(model, base, source, site, ANSWER, FOIL) for site in map(lambda s: s.split(".")[-1], HEAD_SITES)}
        linear = im.attribution_patching(model, base, source, [*sites, *HEAD_SITES], ANSWER, FOIL)
        result[direction] = {"exact": {k: pack(v) for k, v in exact.items()},
                             "attribution": {k.split(".")[-1]: pack(v) for k, v in linear.items()}}
        paths = {f"final, MLPs {'frozen' if frozen else 'recomputed'}": pack(im.path_to_final(model, base, base_acts, source, ANSWER, FOIL, frozen))
                 for frozen in (True, False)}
        receivers, senders = [[model.layers - 1, 1], [model.layers - 1, 2]], [[0, h] for h in range(model.heads)]
        for channel in "qkv":
            for frozen in (True, False):
                paths[f"{channel}, MLPs {'frozen' if frozen else 'recomputed'}"] = pack(im.path_to_receivers(
                    model, base, base_acts, source, senders, receivers, channel, ANSWER, FOIL, frozen))
        result[direction]["paths"] = {"senders": senders, "receivers": receivers, **paths}
    return result


def make(folder: Path, seed: int, made):
    plain = load(folder, torch.float32)
    ids = json.loads((folder / "expected.json").read_text())["prompts"][1]["ids"]
    own, other = ids[:LENGTH], list(ids[:LENGTH])
    other[3], other[6] = ids[11], ids[12]
    rounding = check(plain, Tapped(load(folder, torch.float32)), [own, other], 1e-4)
    model = Tapped(load(folder, torch.float64))
    for parameter in model.model.parameters():
        parameter.requires_grad_(False)
    check(plain, model, [own, other], 1e-4)
    draw = Draw(seed)
    rows = model.run([own, other])[0]
    own_value, other_value = im.difference(rows, ANSWER, FOIL).tolist()
    # Metrics of the logits as they stand in the file.
    last = rows[:, -1].float()
    metrics = {"foils": FOILS, "logits": pack(last), "own": im.metrics(last[0], last[0], ANSWER, FOILS),
               "other": im.metrics(last[0], last[1], ANSWER, FOILS)}
    gradient = gradient_figures(model, own, draw)
    worst = finite_difference_check(model, own, gradient)
    value, times_input = im.gradient_times_input(model, own, ANSWER, FOIL)
    integrated = im.integrated_gradients(model, own, ANSWER, FOIL, STEPS)
    integrated["attributions"] = pack(integrated["attributions"])
    write_json(ROOT / "test" / "reference" / f"interventions-{folder.name}.json", {
        "schemaVersion": 1, "madeWith": {**made, "dtype": "float64, stored as float32"}, "model": folder.name, "seed": seed,
        "tolerance": 2e-4, "gradientTolerance": 1e-4, "columnStep": COLUMN_STEP, "ids": own, "otherIds": other,
        "answer": ANSWER, "foil": FOIL, "clean": own_value, "corrupted": other_value, "metrics": metrics,
        "interventions": interventions(model, own, other, draw), "gradients": gradient, "sweeps": sweeps(model, own, other),
        "gradientTimesInput": pack(times_input), "integratedGradients": {"steps": STEPS, **integrated}})
    print(f"  hooks against the untouched model {rounding:.1e}, autograd against finite differences {worst:.1e}")


def make_random(made):
    folders = sorted(f for f in (ROOT / "test" / "reference" / "models").iterdir() if (f / "config.json").exists())
    for index, folder in enumerate(folders):
        make(folder, 500 + index, made)
