"""Edits, metrics and sweeps of the intervention figures, written straight from their definitions: every value is a full run."""
import torch

from interventionsModel import Tapped

BY_HEAD = ("hook_q", "hook_k", "hook_v", "hook_rot_q", "hook_rot_k", "hook_z", "hook_result")
MAPS = ("hook_attn_scores", "hook_pattern")


def difference(logits, answer, foil):
    """Logit difference at the last position, [batch]."""
    return logits[:, -1, answer] - logits[:, -1, foil]


def metrics(clean, other, answer, foils):
    """All metrics of one row of logits, float64. rank: entries with a higher logit. kl: KL(clean ‖ row). Natural logarithms."""
    row, reference = other.double(), clean.double().log_softmax(-1)
    log = row.log_softmax(-1)
    chosen = row[foils]
    return {"logit": row[answer].item(), "logitDifferences": {"one": (row[answer] - chosen[0]).item(), "mean": (row[answer] - chosen.mean()).item(),
            "max": (row[answer] - chosen.max()).item()}, "logProb": log[answer].item(), "prob": log[answer].exp().item(),
            "crossEntropy": -log[answer].item(), "rank": int((row > row[answer]).sum()), "kl": (reference.exp() * (reference - log)).sum().item()}


def selection(hook, x, spec):
    """Mask over `x` of the heads, positions, neurons (or query, key) and batch items that `spec` names; absent = all."""
    kind = hook.split(".")[-1]
    axes = {"items": 0, "positions": 1, "heads": 2} if kind in BY_HEAD else {"items": 0, "positions": 1, "neurons": x.ndim - 1}
    if kind in MAPS:
        axes = {"items": 0, "heads": 1, "positions": 2, "keys": 3}
    mask = torch.ones(x.shape, dtype=torch.bool)
    for key, axis in axes.items():
        if spec.get(key) is not None:
            chosen = torch.zeros(x.shape[axis], dtype=torch.bool)
            chosen[spec[key]] = True
            shape = [1] * x.ndim
            shape[axis] = -1
            mask = mask & chosen.view(shape)
    return mask


def vector(spec, x):
    return torch.tensor(spec["vector"], dtype=x.dtype)


def changed(x, spec, hook, model: Tapped, runs):
    """What stands at `hook` where `spec` has its way."""
    kind = spec["kind"]
    position_axis = 2 if hook.split(".")[-1] in MAPS else 1
    if kind == "zero":
        return torch.zeros_like(x)
    if kind == "mean":
        axes = {"batch": [0], "position": [position_axis], "all": [0, position_axis]}[spec["over"]]
        return x.mean(axes, keepdim=True).expand_as(x)
    if kind == "patch":
        return runs[spec["from"]][hook].expand_as(x)
    if kind == "set":
        return vector(spec, x).expand_as(x)
    if kind == "add":
        return x + vector(spec, x)
    if kind == "scale":
        return x * spec["factor"]
    if kind == "project-out":
        d = vector(spec, x)
        return x - (x @ d)[..., None] * d / (d @ d)
    if kind == "swap-positions":
        order = list(range(x.shape[position_axis]))
        a, b = spec["pair"]
        order[a], order[b] = order[b], order[a]
        return x.index_select(position_axis, torch.tensor(order))
    if kind == "set-entries":
        return torch.full_like(x, spec["value"])
    if kind == "low-rank":
        layer = int(hook.split(".")[1])
        p, a, b = (torch.tensor(spec[k], dtype=x.dtype) for k in ("P", "A", "b"))
        return x @ p + model.mlp_inputs[layer] @ a + b
    raise ValueError(kind)


def edits_of(specs, model: Tapped, runs):
    """`(hook, function)` pairs of intervention specs, as they stand in the JSON files."""

    def edit(spec):
        hook = spec["hook"]

        def apply(x):
            new = torch.where(selection(hook, x, spec), changed(x, spec, hook, model, runs), x)
            return new / new.sum(-1, keepdim=True) if spec.get("renormalize") else new

        return hook, apply

    return [edit(spec) for spec in specs]


# Sweeps: the metric after the intervention, one full run a cell, the cells of a layer in one batch.
def ablate_heads(model: Tapped, ids, answer, foil, replacement=None):
    """[layer][head], z of the head at every position zero, or `replacement[hook]` [1, pos, head, d_head]."""
    rows = []
    for layer in range(model.layers):
        hook = f"blocks.{layer}.attn.hook_z"

        def edit(z, hook=hook):
            z = z.clone()
            for head in range(model.heads):
                z[head, :, head] = 0 if replacement is None else replacement[hook][0, :, head]
            return z

        logits, _ = model.run([ids] * model.heads, [(hook, edit)], last_only=True)
        rows.append(difference(logits, answer, foil))
    return torch.stack(rows)


def ablate_mlps(model: Tapped, ids, answer, foil):
    """[layer], mlp_out zero at every position."""
    values = []
    for layer in range(model.layers):
        logits, _ = model.run([ids], [(f"blocks.{layer}.hook_mlp_out", torch.zeros_like)], last_only=True)
        values.append(difference(logits, answer, foil)[0])
    return torch.stack(values)


def patch_positions(model: Tapped, ids, source, site, answer, foil):
    """[layer][pos], `blocks.l.<site>` of one position taken from `source`."""
    rows = []
    for layer in range(model.layers):
        hook = f"blocks.{layer}.{site}"

        def edit(x, hook=hook):
            x = x.clone()
            for pos in range(len(ids)):
                x[pos, pos] = source[hook][0, pos]
            return x

        logits, _ = model.run([ids] * len(ids), [(hook, edit)], last_only=True)
        rows.append(difference(logits, answer, foil))
    return torch.stack(rows)


def patch_heads(model: Tapped, ids, source, site, answer, foil):
    """[layer][head], `blocks.l.attn.<site>` of one head at every position taken from `source`. k, v: key-value heads."""
    rows = []
    for layer in range(model.layers):
        hook = f"blocks.{layer}.attn.{site}"
        axis = 1 if site in MAPS else 2
        heads = source[hook].shape[axis]

        def edit(x, hook=hook, heads=heads):
            x = x.clone()
            for head in range(heads):
                x[head].select(axis - 1, head).copy_(source[hook][0].select(axis - 1, head))
            return x

        logits, _ = model.run([ids] * heads, [(hook, edit)], last_only=True)
        rows.append(difference(logits, answer, foil))
    return torch.stack(rows)


def gradients(model: Tapped, ids, answer, foil, keep):
    """Metric, activations and their gradients at the hooks that `keep` wants."""
    logits, acts = model.run([ids], keep=keep, grads=True, last_only=True)
    value = difference(logits, answer, foil)[0]
    names = list(acts)
    found = torch.autograd.grad(value, [acts[n] for n in names])
    return value.item(), {n: acts[n].detach() for n in names}, dict(zip(names, found, strict=True))


def attribution_patching(model: Tapped, ids, source, sites, answer, foil):
    """Metric + sum of gradient × (source − own) at each site: first-order values of the sweeps above, by their names."""
    wanted = {f"blocks.{layer}.{site}" for layer in range(model.layers) for site in sites}
    value, acts, grads = gradients(model, ids, answer, foil, lambda hook: hook in wanted)
    found = {}
    for site in sites:
        rows = []
        for layer in range(model.layers):
            hook = f"blocks.{layer}.{site}"
            terms = ((source[hook] - acts[hook]) * grads[hook])[0]
            kind = site.split(".")[-1]
            if kind in MAPS:
                rows.append(terms.sum((1, 2)))
            else:
                rows.append(terms.sum((0, 2)) if kind in BY_HEAD else terms.sum(1))
        found[site] = value + torch.stack(rows)
    return found


# Path patching: base run `ids` with activations `own`, sender's z from `source`.
def freeze(own, hooks):
    return [(hook, lambda x, hook=hook: own[hook].expand_as(x)) for hook in hooks]


def all_but_senders(model: Tapped, own, source, senders, frozen_mlps):
    """Edits that hold every head's z (and every mlp_out) at `own`, item i of the batch with sender i's z from `source`."""
    edits = []
    for layer in range(model.layers):
        hook = f"blocks.{layer}.attn.hook_z"

        def edit(x, hook=hook, layer=layer):
            z = own[hook].expand_as(x).clone()
            for item, (sender_layer, head) in enumerate(senders):
                if sender_layer == layer:
                    z[item, :, head] = source[hook][0, :, head]
            return z

        edits.append((hook, edit))
    if frozen_mlps:
        edits += freeze(own, [f"blocks.{layer}.hook_mlp_out" for layer in range(model.layers)])
    return edits


def path_to_final(model: Tapped, ids, own, source, answer, foil, frozen_mlps):
    """[layer][head]: sender → final residual stream → (final norm recomputed) → metric; all other heads frozen."""
    rows = []
    for layer in range(model.layers):
        senders = [(layer, head) for head in range(model.heads)]
        logits, _ = model.run([ids] * len(senders), all_but_senders(model, own, source, senders, frozen_mlps), last_only=True)
        rows.append(difference(logits, answer, foil))
    return torch.stack(rows)


def path_to_receivers(model: Tapped, ids, own, source, senders, receivers, channel, answer, foil, frozen_mlps):
    """[sender]: run 1 holds all heads but the sender (and MLPs, if frozen) at `own` and reads q, k or v of the receivers;
    run 2 is the base run with only these replaced. k, v: of the receiver's key-value head, so its whole group reads it."""
    hooks = {f"blocks.{layer}.attn.hook_{channel}" for layer, _ in receivers}
    _, read = model.run([ids] * len(senders), all_but_senders(model, own, source, senders, frozen_mlps), keep=lambda h: h in hooks)
    edits = []
    for layer, head in receivers:
        hook = f"blocks.{layer}.attn.hook_{channel}"
        index = head if channel == "q" else head * model.kv_heads // model.heads

        def edit(x, hook=hook, index=index):
            x = x.clone()
            x[:, :, index] = read[hook][:, :, index]
            return x

        edits.append((hook, edit))
    logits, _ = model.run([ids] * len(senders), edits, last_only=True)
    return difference(logits, answer, foil)


# Per-token attributions at hook_embed
def gradient_times_input(model: Tapped, ids, answer, foil):
    """[pos]: embedding · gradient of the metric at it."""
    value, acts, grads = gradients(model, ids, answer, foil, lambda hook: hook == "hook_embed")
    return value, (acts["hook_embed"] * grads["hook_embed"])[0].sum(-1)


def integrated_gradients(model: Tapped, ids, answer, foil, steps):
    """[pos]: all tokens move together on the straight line from the vocabulary's mean embedding; midpoint rule."""
    table = model.embed.weight.detach()
    target = table[torch.tensor(ids)]
    baseline = table.double().mean(0).to(table.dtype).expand_as(target)
    total = torch.zeros_like(target)

    def at(alpha, grads):
        point = (baseline + alpha * (target - baseline))[None]
        logits, acts = model.run([ids], [("hook_embed", lambda x: point)], keep=lambda h: h == "hook_embed", grads=grads, last_only=True)
        value = difference(logits, answer, foil)[0]
        return value.item(), torch.autograd.grad(value, acts["hook_embed"])[0][0] if grads else None

    for k in range(steps):
        total += at((k + 0.5) / steps, True)[1]
    return {"baselineValue": at(0.0, False)[0], "value": at(1.0, False)[0], "attributions": (total / steps * (target - baseline)).sum(-1)}
