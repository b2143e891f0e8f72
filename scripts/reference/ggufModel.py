"""A llama-family GGUF file as a float32 Hugging Face model and tokenizer. Dequantised by the `gguf` package."""
import hashlib
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

BLOCK_NAMES = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
TOP_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
CONTROL_TOKEN, USER_TOKEN = 3, 4


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def field(reader: GGUFReader, key: str, default=None):
    found = reader.fields.get(key)
    return default if found is None else found.contents()


def unpermute(weight: np.ndarray, heads: int) -> np.ndarray:
    """GGUF pairs rotary dimensions (2i, 2i + 1); Hugging Face pairs (i, i + d_head / 2). Rows back to the latter."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def load_model(reader: GGUFReader) -> LlamaForCausalLM:
    get = lambda key, default=None: field(reader, "llama." + key, default)
    heads, key_value_heads = get("attention.head_count"), get("attention.head_count_kv")
    names = [tensor.name for tensor in reader.tensors]
    vocabulary = len(field(reader, "tokenizer.ggml.tokens"))
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=get("embedding_length"), intermediate_size=get("feed_forward_length"),
        num_hidden_layers=get("block_count"), num_attention_heads=heads, num_key_value_heads=key_value_heads,
        max_position_embeddings=get("context_length"), rms_norm_eps=get("attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": get("rope.freq_base", 10000.0)},
        tie_word_embeddings="output.weight" not in names, attn_implementation="eager")
    state = {}
    for tensor in reader.tensors:
        weight = dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(tensor.shape[::-1])
        parts = tensor.name.split(".")
        if parts[0] == "blk":
            if parts[2] in ("attn_q", "attn_k"):
                weight = unpermute(weight, heads if parts[2] == "attn_q" else key_value_heads)
            name = f"model.layers.{parts[1]}.{BLOCK_NAMES[parts[2]]}.weight"
        else:
            name = TOP_NAMES[parts[0]] + ".weight"
        state[name] = torch.from_numpy(np.ascontiguousarray(weight))
    if config.tie_word_embeddings:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    model = model.to_empty(device="cpu")
    model.load_state_dict(state, strict=True)
    model.tie_weights()
    # Buffers are not in the file: make the rotary frequencies anew.
    model.model.rotary_emb = type(model.model.rotary_emb)(config)
    return model.float().eval()


def load_tokenizer(reader: GGUFReader) -> Tokenizer:
    """Byte-level BPE of `tokenizer.ggml.model = gpt2`; `smollm` splits digits one by one, then as GPT-2 does."""
    assert field(reader, "tokenizer.ggml.model") == "gpt2" and field(reader, "tokenizer.ggml.pre") == "smollm"
    tokens, types = field(reader, "tokenizer.ggml.tokens"), field(reader, "tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ")) for merge in field(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False)
                                  for token, kind in zip(tokens, types, strict=True) if kind == CONTROL_TOKEN])
    tokenizer.add_tokens([AddedToken(token, normalized=False)
                          for token, kind in zip(tokens, types, strict=True) if kind == USER_TOKEN])
    return tokenizer
