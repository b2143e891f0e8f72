"""Edge attribution patching, EAP-IG and ACDC on small random models, in float64: test/reference/circuits-<model>.json.

Written from the papers (Syed et al. 2310.10348; Hanna et al. 2403.17806, eq. 3; Conmy et al. 2304.14997), with autograd and one full
forward pass for every edge that is tried. Every reader of the residual stream (query, key and value input of every head, every MLP, the
logits) is given a tensor of its own; norms, MLPs and rotary tables are the library's modules.
"""
import os

os.environ["OMP_NUM_THREADS"] = "1"

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from packed import pack, write_json

ROOT = Path(__file__).parents[2]
MODELS = {"gpt2": 0.02, "llama-tied": 0.02, "gpt-neox": 0.02}
ROWS, LENGTH, STEPS = 4, 9, 4
ANSWERS = (7, 8)


class ByEdges:
    """A model whose readers each read their own sum of writers. Writers: embedding, then heads and MLP of each layer."""

    def __init__(self, folder: Path):
        self.model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float64).eval()
        self.model.requires_grad_(False)
        c = self.c = self.model.config
        self.kind = c.model_type
        self.layers, self.heads, self.width = c.num_hidden_layers, c.num_attention_heads, c.hidden_size
        self.kv = getattr(c, "num_key_value_heads", None) or self.heads
        self.d_head = getattr(c, "head_dim", None) or self.width // self.heads
        self.body = {"gpt2": "transformer", "llama": "model", "gpt_neox": "gpt_neox"}[self.kind]
        self.body = getattr(self.model, self.body)
        self.blocks = self.body.h if self.kind == "gpt2" else self.body.layers
        self.parallel = self.kind == "gpt_neox" and c.use_parallel_residual
        self.writers = 1 + self.layers * (self.heads + 1)

    @staticmethod
    def norm(module):
        """The library's RMSNorm works in float32 whatever it is given."""
        if isinstance(module, torch.nn.LayerNorm):
            return module
        return lambda x: x * (x.pow(2).mean(-1, keepdim=True) + module.variance_epsilon).rsqrt() * module.weight

    def parts(self, block):
        """ln1, [q, k, v] maps as functions to [batch, pos, heads, d_head], W_O [heads, d_head, d_model], b_O, ln2, mlp."""
        if self.kind == "gpt2":
            a = block.attn
            split = lambda x: a.c_attn(x).split(self.width, dim=-1)
            maps = [lambda x, i=i: split(x)[i].unflatten(-1, (self.heads, self.d_head)) for i in range(3)]
            return self.norm(block.ln_1), maps, a.c_proj.weight.reshape(self.heads, self.d_head, -1), a.c_proj.bias, self.norm(block.ln_2), block.mlp
        if self.kind == "gpt_neox":
            a = block.attention
            split = lambda x: a.query_key_value(x).unflatten(-1, (self.heads, 3, self.d_head))
            maps = [lambda x, i=i: split(x)[..., i, :] for i in range(3)]
            return (self.norm(block.input_layernorm), maps, a.dense.weight.T.reshape(self.heads, self.d_head, -1), a.dense.bias,
                    self.norm(block.post_attention_layernorm), block.mlp)
        a = block.self_attn
        maps = [lambda x, m=m: m(x).unflatten(-1, (-1, self.d_head)) for m in (a.q_proj, a.k_proj, a.v_proj)]
        return (self.norm(block.input_layernorm), maps, a.o_proj.weight.T.reshape(self.heads, self.d_head, -1), None,
                self.norm(block.post_attention_layernorm), block.mlp)

    def rotate(self, x, length):
        if self.kind == "gpt2":
            return x
        cos, sin = self.body.rotary_emb(x, torch.arange(length)[None])
        cos, sin = cos[:, :, None].to(x.dtype), sin[:, :, None].to(x.dtype)
        n = cos.shape[-1]
        rotated, rest = x[..., :n], x[..., n:]
        half = torch.cat((-rotated[..., n // 2:], rotated[..., : n // 2]), -1)
        return torch.cat((rotated * cos + half * sin, rest), -1)

    def embed(self, ids):
        if self.kind == "gpt2":
            return self.body.wte(ids) + self.body.wpe(torch.arange(ids.shape[1]))
        return (self.body.embed_in if self.kind == "gpt_neox" else self.body.embed_tokens)(ids)

    def run(self, embedded, other=None, removed=frozenset()):
        """Logits, outputs of all writers [batch, pos, d_model], and the readers' inputs in the order of `readers`.
        `other`: writers of the corrupted run; `removed`: pairs (reader, writer)."""
        length = embedded.shape[1]
        writers, biases, inputs = [embedded], 0, []

        def read(upstream):
            # A tensor of the reader's own, so that its gradient is that reader's alone.
            x = sum(writers[:upstream]) + biases
            for writer in range(upstream):
                if (len(inputs), writer) in removed:
                    x = x - writers[writer] + other[writer]
            x = x.clone()
            inputs.append(x)
            return x

        mask = torch.full((length, length), -torch.inf, dtype=embedded.dtype).triu(1)
        for block in self.blocks:
            ln1, (to_q, to_k, to_v), w_o, b_o, ln2, mlp = self.parts(block)
            before = len(writers)
            q = [to_q(ln1(read(before)))[:, :, h] for h in range(self.heads)]
            k = [to_k(ln1(read(before)))[:, :, h] for h in range(self.kv)]
            v = [to_v(ln1(read(before)))[:, :, h] for h in range(self.kv)]
            q, k = (self.rotate(torch.stack(x, 2), length) for x in (q, k))
            for head in range(self.heads):
                group = head * self.kv // self.heads
                scores = q[:, :, head] @ k[:, :, group].transpose(1, 2) / self.d_head ** 0.5 + mask
                writers.append(scores.softmax(-1) @ v[group] @ w_o[head])
            mlp_reads = before if self.parallel else len(writers)
            late = 0 if b_o is None else b_o
            if not self.parallel:
                biases = biases + late
            writers.append(mlp(ln2(read(mlp_reads))))
            if self.parallel:
                biases = biases + late
        final = next(getattr(self.body, n) for n in ("ln_f", "norm", "final_layer_norm") if hasattr(self.body, n))
        head = self.model.get_output_embeddings()
        return head(self.norm(final)(read(len(writers)))), writers, inputs

    def readers(self):
        """`layer, channel, head, upstream` in the order in which `run` reads."""
        found = []
        for layer in range(self.layers):
            before = 1 + layer * (self.heads + 1)
            found += [(layer, "q", h, before) for h in range(self.heads)]
            found += [(layer, c, h, before) for c in "kv" for h in range(self.kv)]
            found.append((layer, "mlp", 0, before + (0 if self.parallel else self.heads)))
        return found + [(self.layers, "logits", 0, self.writers)]


def task(vocabulary, seed):
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, vocabulary, (ROWS, LENGTH), generator=g)
    corrupted = ids.clone()
    corrupted[:, 2:6] = torch.randint(1, vocabulary, (ROWS, 4), generator=g)
    answers = torch.stack([torch.stack([torch.randperm(vocabulary, generator=g)[:4] for _ in ANSWERS]) for _ in range(ROWS)])
    return ids, corrupted, answers


def difference(logits, answers):
    """Logit of the answer less the mean of its three foils, [row, answer]."""
    at = logits[:, list(ANSWERS)].gather(2, answers)
    return at[..., 0] - at[..., 1:].mean(-1)


def scores_of(model, inputs, value, deltas):
    """Σ gradient at the reader's input · (clean − corrupted) of the writer, mean over rows, flat by reader and writer."""
    gradients = torch.autograd.grad(value, inputs)
    found = []
    for (_, _, _, upstream), gradient in zip(model.readers(), gradients, strict=True):
        found += [(gradient * deltas[w]).sum() / ROWS for w in range(upstream)]
    return torch.stack(found)


def eap(model, ids, corrupted, answers, steps=None):
    with torch.no_grad():
        _, clean, _ = model.run(model.embed(ids))
        _, other, _ = model.run(model.embed(corrupted))
    deltas = [a - b for a, b in zip(clean, other, strict=True)]
    if steps is None:
        logits, _, inputs = model.run(model.embed(ids).requires_grad_(True))
        return scores_of(model, inputs, difference(logits, answers).mean(1).sum(), deltas)
    total = 0
    for step in range(1, steps + 1):
        between = other[0] + step / steps * (clean[0] - other[0])
        logits, _, inputs = model.run(between.requires_grad_(True))
        total = total + scores_of(model, inputs, difference(logits, answers).mean(1).sum(), deltas)
    return total / steps


def acdc(model, ids, corrupted, threshold):
    """Rises of the divergence by edge (0 for edges into nodes that nothing reads), and which edges stay."""
    readers = model.readers()
    with torch.no_grad():
        logits, _, _ = model.run(model.embed(ids))
        _, other, _ = model.run(model.embed(corrupted))
        reference = logits[:, list(ANSWERS)].log_softmax(-1)

        def loss(removed):
            own = model.run(model.embed(ids), other, removed)[0][:, list(ANSWERS)].log_softmax(-1)
            return (reference.exp() * (reference - own)).sum(-1).mean().item()

        removed, read, rises, nearest = set(), set(), {}, 1.0
        current = loss(removed)
        for r in reversed(range(len(readers))):
            layer, channel, head, upstream = readers[r]
            first, group = 1 + layer * (model.heads + 1), model.heads // model.kv
            feeds = {"q": [first + head], "mlp": [first + model.heads]}.get(channel, [first + head * group + i for i in range(group)])
            alive = channel == "logits" or any(w in read for w in feeds)
            for w in reversed(range(upstream)):
                if not alive:
                    removed.add((r, w))
                    rises[r, w] = 0.0
                    continue
                without = loss(removed | {(r, w)})
                rises[r, w] = without - current
                nearest = min(nearest, abs(rises[r, w] - threshold))
                if rises[r, w] < threshold:
                    removed.add((r, w))
                    current = without
                else:
                    read.add(w)
    order = [(r, w) for r, reader in enumerate(readers) for w in range(reader[3])]
    # A rise at the threshold could fall either way in float32.
    assert nearest > 2e-5, nearest
    return [rises[e] for e in order], [e not in removed for e in order], loss(frozenset(order)), nearest


def main():
    for name, threshold in MODELS.items():
        model = ByEdges(ROOT / "test/reference/models" / name)
        ids, corrupted, answers = task(model.c.vocab_size, 5)
        with torch.no_grad():
            logits, _, _ = model.run(model.embed(ids))
            plain = model.model(ids, use_cache=False).logits
            # The library works out RMSNorm and softmax in float32.
            assert (logits - plain).abs().max() < 5e-5, (name, (logits - plain).abs().max())
        rises, kept, everything, nearest = acdc(model, ids, corrupted, threshold)
        found = {
            "ids": ids.tolist(), "corrupted": corrupted.tolist(), "answers": answers.tolist(), "positions": list(ANSWERS),
            "clean": difference(logits, answers).tolist(),
            "readers": [[layer, channel, head, upstream] for layer, channel, head, upstream in model.readers()],
            "eap": pack(eap(model, ids, corrupted, answers)),
            "steps": STEPS, "eapIg": pack(eap(model, ids, corrupted, answers, STEPS)),
            "acdc": {"threshold": threshold, "rises": pack(torch.tensor(rises)), "kept": [int(k) for k in kept], "allRemoved": everything},
        }
        print(name, f"{sum(kept)} of {len(kept)} edges kept, KL with all removed {everything:.3f}, nearest to the threshold {nearest:.1e}")
        write_json(ROOT / f"test/reference/circuits-{name}.json", found)


if __name__ == "__main__":
    main()
