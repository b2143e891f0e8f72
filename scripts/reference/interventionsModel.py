"""A Hugging Face model whose activations can be read and replaced at TransformerLens' hook points.

The library's own modules do the arithmetic. Forward hooks sit at module inputs and outputs; three small things are written
anew, because they are inside functions of the library (or cast to float32 there): the attention scores and pattern, the
norms, the rotary tables. `check` compares the result with the untouched model.

Hook points and shapes: src/core/engine/hookPoints.ts. Edits are `(hook, function)` pairs, run in the order given.
"""
import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask


def attend(module, query, key, value, mask, scaling, **_):
    """Softmax attention, [batch, head, pos, d_head]; grouped-query keys and values repeated for their query heads."""
    tap, name = module.tapped.tap, f"blocks.{module.tapped_layer}.attn."
    if module.tapped.rotary:
        query = tap(name + "hook_rot_q", query.transpose(1, 2)).transpose(1, 2)
        key = tap(name + "hook_rot_k", key.transpose(1, 2)).transpose(1, 2)
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = tap(name + "hook_attn_scores", query @ key.transpose(2, 3) * scaling + mask)
    pattern = tap(name + "hook_pattern", scores.softmax(-1))
    return (pattern @ value).transpose(1, 2).contiguous(), pattern


AttentionInterface.register("tapped", attend)
AttentionMaskInterface.register("tapped", eager_mask)


class Tapped:
    """Reads `model`'s parts once, then `run`s it. Load the model with `attn_implementation="eager"`."""

    def __init__(self, model):
        self.model, c = model, model.config
        kind = self.kind = c.model_type
        self.layers, self.heads, self.d_model = c.num_hidden_layers, c.num_attention_heads, c.hidden_size
        self.rotary, self.parallel = kind not in ("gpt2", "gpt_neo"), kind == "gpt_neox"
        body = {"gpt2": "transformer", "gpt_neo": "transformer", "gpt_neox": "gpt_neox"}.get(kind, "model")
        self.body = getattr(model, body)
        self.blocks = self.body.h if hasattr(self.body, "h") else self.body.layers
        self.embed = model.get_input_embeddings()
        self.d_head = getattr(c, "head_dim", None) or c.hidden_size // self.heads
        self.kv_heads = getattr(c, "num_key_value_heads", None) or self.heads
        self.edits, self.acts, self.mlp_inputs, self.keep, self.grads = {}, {}, {}, None, False
        self._install()

    # Where the hooks go
    def _parts(self, block):
        """attention module, its output projection, mlp, [(up projection, hook)], its output projection, ln1, ln2."""
        if self.kind == "gpt2":
            return block.attn, block.attn.c_proj, block.mlp, [(block.mlp.c_fc, "hook_pre")], block.mlp.c_proj, block.ln_1, block.ln_2
        if self.kind == "gpt_neo":
            attn = block.attn.attention
            return attn, attn.out_proj, block.mlp, [(block.mlp.c_fc, "hook_pre")], block.mlp.c_proj, block.ln_1, block.ln_2
        m = block.mlp
        if self.kind == "gpt_neox":
            return (block.attention, block.attention.dense, m, [(m.dense_h_to_4h, "hook_pre")], m.dense_4h_to_h,
                    block.input_layernorm, block.post_attention_layernorm)
        return (block.self_attn, block.self_attn.o_proj, m, [(m.gate_proj, "hook_pre"), (m.up_proj, "hook_pre_linear")],
                m.down_proj, block.input_layernorm, block.post_attention_layernorm)

    def output_weight(self, layer):
        """W_O as [head, d_head, d_model]."""
        projection = self._parts(self.blocks[layer])[1]
        weight = projection.weight if self.kind == "gpt2" else projection.weight.T
        return weight.reshape(self.heads, self.d_head, -1)

    def _install(self):
        self.model.set_attn_implementation("tapped")
        self.embed.register_forward_hook(lambda m, i, o: self.tap("hook_embed", o))
        if not self.rotary:
            self.body.wpe.register_forward_hook(lambda m, i, o: self.tap("hook_pos_embed", o))
        for layer, block in enumerate(self.blocks):
            self._install_block(layer, block)
        final = next(getattr(self.body, n) for n in ("ln_f", "norm", "final_layer_norm") if hasattr(self.body, n))
        self._replace_norm(final, "ln_final.")
        if self.rotary:
            rotary = self.body.rotary_emb

            def tables(x, position_ids):
                # The library's own angles (float32) in float32; in float64 the same inverse frequencies, exact products.
                position_ids = self.tap("position_ids", position_ids)
                angles = position_ids[..., None].to(x.dtype) * rotary.inv_freq.to(x.dtype)
                angles = torch.cat((angles, angles), dim=-1)
                return angles.cos() * rotary.attention_scaling, angles.sin() * rotary.attention_scaling

            rotary.forward = tables

    def _install_block(self, layer, block):
        attn, attn_projection, mlp, ups, down, ln1, ln2 = self._parts(block)
        name = f"blocks.{layer}."
        attn.tapped, attn.tapped_layer = self, layer
        if self.kind == "gpt_neo":
            self._replace_neo_attention(attn)
        self._replace_norm(ln1, name + "ln1.")
        self._replace_norm(ln2, name + "ln2.")
        block.register_forward_pre_hook(lambda m, i: (self.tap(name + "hook_resid_pre", i[0]), *i[1:]))

        def resid_post(m, i, o):
            changed = self.tap(name + "hook_resid_post", o[0] if isinstance(o, tuple) else o)
            return (changed, *o[1:]) if isinstance(o, tuple) else changed

        block.register_forward_hook(resid_post)
        self._tap_qkv(attn, name + "attn.")
        attn_projection.register_forward_pre_hook(
            lambda m, i: (self.tap(name + "attn.hook_z", i[0].unflatten(-1, (self.heads, self.d_head))).flatten(2),))
        attn_projection.register_forward_hook(lambda m, i, o: self._results(layer, i[0], o))

        def attention_out(m, i, o):
            out = self.tap(name + "hook_attn_out", o[0])
            if not self.parallel:
                # The block adds this to resid_pre: an edit of the sum is made as an edit of the summand.
                resid_pre = self.acts_now[name + "hook_resid_pre"]
                mid = resid_pre + out
                changed = self.tap(name + "hook_resid_mid", mid)
                if self.grads:
                    out = changed - resid_pre
                elif changed is not mid:
                    out = out + (changed - mid)
            return (out, *o[1:])

        attn.register_forward_hook(attention_out)
        for up, hook in ups:
            up.register_forward_hook(lambda m, i, o, hook=hook: self.tap(name + "mlp." + hook, o))
        down.register_forward_pre_hook(lambda m, i: (self.tap(name + "mlp.hook_post", i[0]),))

        def mlp_out(m, i, o):
            self.mlp_inputs[layer] = i[0]
            return self.tap(name + "hook_mlp_out", o)

        mlp.register_forward_hook(mlp_out)

    def _results(self, layer, z, out):
        """Edits of single heads' results, made on their sum; the results are only worked out if somebody asks."""
        hook = f"blocks.{layer}.attn.hook_result"
        if hook not in self.edits:
            return out
        result = torch.einsum("bphd,hdm->bphm", z.unflatten(-1, (self.heads, self.d_head)), self.output_weight(layer))
        return out + (self.tap(hook, result) - result).sum(2)

    def _tap_qkv(self, attn, name):
        def split(module, inputs, out, neox):
            heads = out.unflatten(-1, (self.heads, 3, self.d_head) if neox else (3, self.heads, self.d_head))
            parts = [self.tap(name + hook, heads.select(3 if neox else 2, i)) for i, hook in enumerate(("hook_q", "hook_k", "hook_v"))]
            return torch.stack(parts, 3 if neox else 2).flatten(2)

        if self.kind == "gpt2":
            attn.c_attn.register_forward_hook(lambda m, i, o: split(m, i, o, False))
        elif self.kind == "gpt_neox":
            attn.query_key_value.register_forward_hook(lambda m, i, o: split(m, i, o, True))
        else:
            for module, hook in ((attn.q_proj, "hook_q"), (attn.k_proj, "hook_k"), (attn.v_proj, "hook_v")):
                module.register_forward_hook(
                    lambda m, i, o, hook=hook: self.tap(name + hook, o.unflatten(-1, (-1, self.d_head))).flatten(2))

    def _replace_neo_attention(self, attn):
        def local_or_global(query, key, value, attention_mask=None):
            length = query.shape[2]
            mask = torch.zeros(length, length, dtype=query.dtype).masked_fill(
                ~attn.bias[0, 0, :length, :length], torch.finfo(query.dtype).min)
            out, pattern = attend(attn, query, key, value, mask, 1.0)
            return out.transpose(1, 2), pattern

        attn._attn = local_or_global

    def _replace_norm(self, module, name):
        layernorm = isinstance(module, torch.nn.LayerNorm)
        eps = module.eps if layernorm else module.variance_epsilon

        def forward(x):
            centred = x - x.mean(-1, keepdim=True) if layernorm else x
            scale = self.tap(name + "hook_scale", (centred.pow(2).mean(-1, keepdim=True) + eps).sqrt())
            if layernorm:
                return self.tap(name + "hook_normalized", centred / scale * module.weight + module.bias)
            return self.tap(name + "hook_normalized", centred / scale) * module.weight

        module.forward = forward

    # Running
    def tap(self, hook, x):
        for edit in self.edits.get(hook, ()):
            x = edit(x)
        if self.grads and hook == "hook_embed":
            x = x.detach().requires_grad_(True)
        if hook.endswith("hook_resid_pre"):
            self.acts_now[hook] = x
        if self.keep is not None and self.keep(hook):
            self.acts[hook] = x
        return x

    def run(self, ids, edits=(), keep=None, grads=False, last_only=False):
        """Logits [batch, pos, d_vocab] and the activations whose hook `keep` wants. `ids`: [batch, pos], never padded."""
        self.edits, self.acts, self.acts_now, self.keep, self.grads = {}, {}, {}, keep, grads
        for hook, edit in edits:
            self.edits.setdefault(hook, []).append(edit)
        with torch.set_grad_enabled(grads):
            out = self.model(input_ids=torch.as_tensor(ids), use_cache=False, logits_to_keep=1 if last_only else 0)
        return out.logits, self.acts


def check(plain, tapped: Tapped, ids, tolerance):
    """The hooks change nothing: same logits as the untouched model."""
    with torch.inference_mode():
        wanted = plain(torch.as_tensor(ids), use_cache=False).logits
    found, _ = tapped.run(ids)
    difference = (found.to(wanted.dtype) - wanted).abs().max().item()
    assert difference < tolerance, difference
    return difference
