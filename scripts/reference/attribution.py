"""Activations, direct logit attribution, occlusion and logit lens, written straight from their definitions.

Plain Hugging Face hooks and float64 sums, nothing shared with the engine: it is what the engine is held against.
GPT-2 (LayerNorm, learned positions, output biases) and Llama (RMSNorm, rotary positions).
"""
import torch


class Parts:
    """Where a model keeps its parts."""

    def __init__(self, model):
        self.model, c = model, model.config
        self.gpt2 = c.model_type == "gpt2"
        body = model.transformer if self.gpt2 else model.model
        self.blocks = body.h if self.gpt2 else body.layers
        self.final_norm = body.ln_f if self.gpt2 else body.norm
        self.embed = body.wte if self.gpt2 else body.embed_tokens
        self.pos_embed = body.wpe if self.gpt2 else None
        self.heads = c.num_attention_heads
        self.kv_heads = self.heads if self.gpt2 else c.num_key_value_heads
        self.d_head = c.hidden_size // self.heads if self.gpt2 else self.blocks[0].self_attn.head_dim

    def attention(self, block):
        return block.attn if self.gpt2 else block.self_attn

    def out(self, block):
        """W_O as [head, d_head, d_model] and its bias or None."""
        layer = block.attn.c_proj if self.gpt2 else block.self_attn.o_proj
        weight = layer.weight if self.gpt2 else layer.weight.T
        return weight.double().view(self.heads, self.d_head, -1), layer.bias


class Run:
    """One forward pass of one prompt, with every activation that the figures need, float32 as the model made them."""

    @torch.inference_mode()
    def __init__(self, parts: Parts, ids=None, embeddings=None):
        p, handles = parts, []
        self.parts, self.values, self.mlp, self.resid, self.pre_norm = p, [], [], [], None

        def keep(module, hook):
            handles.append(module.register_forward_hook(hook))

        for block in p.blocks:
            if p.gpt2:
                keep(block.attn.c_attn, lambda m, i, o: self.values.append(o.chunk(3, -1)[2][0].view(-1, p.heads, p.d_head)))
            else:
                keep(block.self_attn.v_proj, lambda m, i, o: self.values.append(
                    o[0].view(-1, p.kv_heads, p.d_head).repeat_interleave(p.heads // p.kv_heads, 1)))
            keep(block.mlp, lambda m, i, o: self.mlp.append(o[0].clone()))
            keep(block, lambda m, i, o: self.resid.append((o[0] if isinstance(o, tuple) else o)[0].clone()))
        first = p.blocks[0]
        handles.append(first.register_forward_pre_hook(lambda m, i: self.resid.append(i[0][0].clone())))
        keep(p.embed, lambda m, i, o: setattr(self, "embedding", o[0].clone()))
        inputs = dict(input_ids=torch.tensor([ids])) if embeddings is None else dict(inputs_embeds=embeddings[None])
        out = p.model(**inputs, output_attentions=True, use_cache=False)
        for handle in handles:
            handle.remove()
        self.logits = out.logits[0]
        # [layer, head, query, key]; resid[0] is the input of block 0, resid[l + 1] the output of block l.
        self.patterns = torch.stack([a[0] for a in out.attentions])


def direction(parts: Parts, terms: dict) -> torch.Tensor:
    """The observable as one vector over the normalised residual stream: sum of weight × unembedding row."""
    rows = parts.model.get_output_embeddings().weight.double()
    return sum(weight * rows[token] for token, weight in terms.items())


def observable(logits: torch.Tensor, terms: dict) -> float:
    return sum(weight * logits[token].double().item() for token, weight in terms.items())


@torch.inference_mode()
def direct(run: Run, terms: dict, position: int) -> dict:
    """Direct logit attribution with the final norm's scale frozen at its value at `position`, and attention frozen."""
    p, norm = run.parts, run.parts.final_norm
    u = direction(p, terms)
    final = run.resid[-1][position].double()
    gain = norm.weight.double()
    if p.gpt2:
        scale = torch.sqrt(final.var(unbiased=False) + norm.eps)
        towards = lambda x: ((x - x.mean(-1, keepdim=True)) / scale * gain) @ u
    else:
        scale = torch.sqrt(final.pow(2).mean() + norm.variance_epsilon)
        towards = lambda x: (x / scale * gain) @ u
    by_source, bias = [], 0.0
    for layer, block in enumerate(p.blocks):
        w_o, b_o = p.out(block)
        weights = run.patterns[layer, :, position].double()  # [head, source]
        values = run.values[layer].double()  # [source, head, d_head]
        written = torch.einsum("hs,shd,hdm->hsm", weights, values, w_o)
        by_source.append(towards(written))
        if b_o is not None:
            bias += towards(b_o.double()).item()
    if p.gpt2:
        bias += (norm.bias.double() @ u).item()
    by_source = torch.stack(by_source)
    mlps = torch.stack([towards(m[position].double()) for m in run.mlp])
    embedding = towards(run.embedding[position].double()).item()
    pos_embedding = towards(p.pos_embed.weight[position].double()).item() if p.gpt2 else 0.0
    attributions = by_source.sum((0, 1))
    attributions[position] += mlps.sum() + embedding + pos_embedding + bias
    value = observable(run.logits[position], terms)
    assert abs(attributions.sum().item() - value) < 1e-4 * max(1, abs(value)), (attributions.sum().item(), value)
    return {"value": value, "heads": by_source.sum(-1), "mlps": mlps, "embedding": embedding,
            "positionEmbedding": pos_embedding, "bias": bias, "bySource": by_source, "attributions": attributions}


@torch.inference_mode()
def occlusion(parts: Parts, ids: list, terms: dict, position: int) -> list:
    """Observable minus the observable with one token's embedding replaced by the mean over the vocabulary."""
    table = parts.embed.weight
    mean = table.double().mean(0).float()
    value = observable(Run(parts, ids).logits[position], terms)
    result = []
    for i in range(len(ids)):
        embeddings = table[torch.tensor(ids)].clone()
        embeddings[i] = mean
        result.append(value - observable(Run(parts, embeddings=embeddings).logits[position], terms))
    return result


@torch.inference_mode()
def lens(run: Run, terms: dict, positions: list) -> dict:
    """The residual stream after the embedding and after each block, through the final norm and the unembedding."""
    values, top = [], []
    for resid in run.resid:
        logits = run.parts.model.get_output_embeddings()(run.parts.final_norm(resid[positions]))
        chances = logits.double().softmax(-1)
        values.append([observable(row, terms) for row in logits])
        top.append([{"id": int(i), "p": float(row[i])} for row, i in zip(chances, chances.argmax(-1), strict=True)])
    return {"positions": positions, "values": values, "top": top}
