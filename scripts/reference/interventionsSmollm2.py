"""Interventions and sweeps on SmolLM2-135M-Instruct (Q4_1, dequantised), float32: test/reference/interventions-smollm2.json."""
import base64
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFReader

import interventionsMath as im
from ggufModel import load_model, load_tokenizer, sha256
from interventionsModel import Tapped, check
from packed import pack, write_json

ROOT = Path(__file__).parents[2]
STEPS, STEER_SIZE, SENDERS = 16, 60.0, 6
IOI = "When{} and{} went to the store,{} gave a drink to"
NAMES = [(" Mary", " John"), (" Tom", " James"), (" Anna", " Peter"), (" Mark", " Paul"), (" Sarah", " David"), (" John", " Mary"),
         (" Paul", " Anna"), (" James", " Sarah")]
PRONOUNS = [("The nurse said that", "The farmer said that", " she", " he"), ("The maid said that", "The doctor said that", " she", " he"),
            ("The farmer said that", "The nurse said that", " he", " she"),
            ("After the long shift, the nurse said that", "After the long shift, the farmer said that", " she", " he"),
            ("The secretary left because", "The carpenter left because", " she", " he")]
FOILS = [" he", " it", " they", " we"]


def token(tokenizer, text):
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert len(ids) == 1, (text, ids)
    return ids[0]


def unpack(packed):
    return np.frombuffer(base64.b64decode(packed["f32"]), "<f4").reshape(packed["dims"]).copy()


def pairs(tokenizer):
    """Eight IOI pairs of one length, the corrupted one with the second mention of the other name; then pronoun pairs."""
    texts = [(IOI.format(a, b, b), IOI.format(a, b, a), a, b) for a, b in NAMES] + PRONOUNS
    found = []
    for clean, corrupted, answer, foil in texts:
        ids, other = tokenizer.encode(clean).ids, tokenizer.encode(corrupted).ids
        assert len(ids) == len(other), (clean, corrupted)
        found.append({"clean": clean, "corrupted": corrupted, "ids": ids, "corruptedIds": other,
                      "answer": token(tokenizer, answer), "foil": token(tokenizer, foil)})
    assert len({len(p["ids"]) for p in found[: len(NAMES)]}) == 1
    return found


def all_acts(model, ids):
    wanted = ("hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_q", "hook_k", "hook_v", "hook_z", "hook_pattern", "hook_attn_out",
              "hook_mlp_out")
    return model.run([ids], keep=lambda hook: hook.startswith("blocks.") and hook.endswith(wanted))[1]


def ablations(model, pair, foils):
    ids, answer, foil = pair["ids"], pair["answer"], pair["foil"]
    clean, corrupted = (model.run([pair[key]], last_only=True)[0][0, -1] for key in ("ids", "corruptedIds"))
    return {"cleanValue": (clean[answer] - clean[foil]).item(), "corruptedValue": (corrupted[answer] - corrupted[foil]).item(),
            "metrics": {"foils": [foil, *foils], "clean": im.metrics(clean, clean, answer, [foil, *foils]),
                        "corrupted": im.metrics(clean, corrupted, answer, [foil, *foils])},
            "zeroHeads": pack(im.ablate_heads(model, ids, answer, foil)), "zeroMlps": pack(im.ablate_mlps(model, ids, answer, foil))}


def mean_ablation(model, batch):
    """Mean over the batch at each position; [prompt][layer][head]."""
    acts = model.run([p["ids"] for p in batch], keep=lambda hook: hook.endswith("hook_z"))[1]
    mean = {hook: z.double().mean(0, keepdim=True).float() for hook, z in acts.items()}
    return torch.stack([im.ablate_heads(model, p["ids"], p["answer"], p["foil"], mean) for p in batch])


def grids(model, pair, more_sites):
    result = {}
    own, other = all_acts(model, pair["ids"]), all_acts(model, pair["corruptedIds"])
    args = (pair["answer"], pair["foil"])
    for direction, ids, source in (("noising", pair["ids"], other), ("denoising", pair["corruptedIds"], own)):
        sites, head_sites = ["hook_resid_pre"], ["hook_z"]
        if more_sites and direction == "noising":
            sites += ["hook_resid_mid", "hook_resid_post", "hook_attn_out", "hook_mlp_out"]
            head_sites += ["hook_q", "hook_k", "hook_v", "hook_pattern"]
        exact = {site: pack(im.patch_positions(model, ids, source, site, *args)) for site in sites}
        exact |= {site: pack(im.patch_heads(model, ids, source, site, *args)) for site in head_sites}
        linear = im.attribution_patching(model, ids, source, sites + ["attn." + s for s in head_sites], *args)
        result[direction] = {"exact": exact, "attribution": {site.split(".")[-1]: pack(v) for site, v in linear.items()}}
        print(f"  {direction} grids", flush=True)
    return result


def paths(model, pair, zero_heads):
    """Base run clean, sender from the corrupted run. Receivers: the two heads whose ablation moves the metric most above
    layer 12; senders: the six below both whose path to the receivers' queries moves it most, MLPs recomputed."""
    own, other = all_acts(model, pair["ids"]), all_acts(model, pair["corruptedIds"])
    args = (pair["answer"], pair["foil"])
    effect = (zero_heads - im.difference(model.run([pair["ids"]], last_only=True)[0], *args)).abs()
    order = [divmod(int(i), model.heads) for i in effect.flatten().argsort(descending=True)]
    receivers = [p for p in order if p[0] > 12][:2]
    below = [(layer, head) for layer in range(min(r[0] for r in receivers)) for head in range(model.heads)]
    through = im.path_to_receivers(model, pair["ids"], own, other, below, receivers, "q", *args, False)
    clean = im.difference(model.run([pair["ids"]], last_only=True)[0], *args)
    senders = [below[int(i)] for i in (through - clean).abs().argsort(descending=True)[:SENDERS]]
    result = {"senders": senders, "receivers": receivers, "final": {}, "toReceivers": {}}
    for name, frozen in (("mlpsFrozen", True), ("mlpsRecomputed", False)):
        result["final"][name] = pack(im.path_to_final(model, pair["ids"], own, other, *args, frozen))
        result["toReceivers"][name] = {channel: pack(im.path_to_receivers(model, pair["ids"], own, other, senders, receivers, channel, *args, frozen))
                                       for channel in "qkv"}
    return result


def steering(model, pair):
    """A seeded direction of length 60 added to resid_pre of block 15, at every position or at the last one."""
    direction = torch.randn(model.d_model, generator=torch.Generator().manual_seed(11))
    direction = direction / direction.norm() * STEER_SIZE
    hook, found = "blocks.15.hook_resid_pre", {}
    for name, positions in (("everywhere", None), ("last", [len(pair["ids"]) - 1])):
        spec = {"kind": "add", "hook": hook, "positions": positions, "vector": direction.tolist()}
        logits = model.run([pair["ids"]], im.edits_of([spec], model, {}), last_only=True)[0]
        top = logits[0, -1].topk(10)
        found[name] = {"positions": positions, "value": im.difference(logits, pair["answer"], pair["foil"]).item(),
                       "top": {"ids": top.indices.tolist(), "logits": pack(top.values)}}
    return {"hook": hook, "vector": pack(direction), **found}


def tokens_of(model, pair):
    args = (model, pair["ids"], pair["answer"], pair["foil"])
    integrated = im.integrated_gradients(*args, STEPS)
    value, times_input = im.gradient_times_input(*args)
    return {"gradientTimesInput": {"value": value, "attributions": pack(times_input)},
            "integratedGradients": {"rule": "midpoint", "steps": STEPS, "baseline": "mean embedding of the vocabulary, at every position",
                                    **integrated, "attributions": pack(integrated["attributions"])}}


def make_smollm2(gguf: Path, made):
    reader = GGUFReader(gguf)
    tokenizer, plain, model = load_tokenizer(reader), load_model(reader), Tapped(load_model(reader))
    for parameter in model.model.parameters():
        parameter.requires_grad_(False)
    entries = pairs(tokenizer)
    print(f"hooks against the untouched model {check(plain, model, [entries[0]['ids']], 1e-3):.1e}", flush=True)
    del plain
    foils = [token(tokenizer, text) for text in FOILS]
    records = []
    for index, pair in enumerate(entries):
        record = {**pair, **ablations(model, pair, foils)}
        if index in (0, 1, len(NAMES), len(NAMES) + 3):
            record["patching"] = grids(model, pair, more_sites=index == 0)
            record["tokens"] = tokens_of(model, pair)
        if index == 0:
            record["paths"] = paths(model, pair, torch.from_numpy(unpack(record["zeroHeads"])))
        if index in (0, len(NAMES)):
            record["steering"] = steering(model, pair)
        records.append(record)
        print(f"{index + 1} of {len(entries)}: {record['cleanValue']:.3f}, corrupted {record['corruptedValue']:.3f}", flush=True)
    mean = mean_ablation(model, entries[: len(NAMES)])
    write_json(ROOT / "test" / "reference" / "interventions-smollm2.json", {
        "schemaVersion": 1, "madeWith": made, "modelHash": sha256(gguf), "tolerance": 1e-3, "prompts": records,
        "meanHeads": {"prompts": list(range(len(NAMES))), "over": "batch", "values": pack(mean)}})
