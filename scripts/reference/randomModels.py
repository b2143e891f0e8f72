"""Small models with random weights, one for each switch of the architecture, with all that they compute.

Each folder is a Hugging Face folder (config.json, model.safetensors, tokenizer.json) and expected.json:
two prompts of token ids with logits [pos, d_vocab], hidden states [layer + 1, pos, d_model] (the input of each block, then
the output of the last one) and attention patterns [layer, head, query, key].
"""
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM

from packed import made_with, pack, write_json

VOCABULARY, CONTEXT = 272, 64
LLAMA = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=CONTEXT, rms_norm_eps=1e-5, bos_token_id=0, eos_token_id=0, pad_token_id=None)


def rope(kind: str, **more) -> dict:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **more}}


MODELS = {
    "gpt2": ("gpt2", dict(n_positions=CONTEXT, n_embd=32, n_layer=3, n_head=4, n_inner=96, bos_token_id=0, eos_token_id=0)),
    "llama-tied": ("llama", {**LLAMA, **rope("default"), "tie_word_embeddings": True}),
    "llama-untied-linear": ("llama", {**LLAMA, **rope("linear", factor=2.5), "tie_word_embeddings": False}),
    "llama-untied-llama3": ("llama", {**LLAMA, "head_dim": 16, "num_hidden_layers": 2, "tie_word_embeddings": False, **rope(
        "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)}),
    "llama-yarn": ("llama", {**LLAMA, "tie_word_embeddings": True, **rope(
        "yarn", factor=4.0, original_max_position_embeddings=16)}),
    "llama-bias": ("llama", {**LLAMA, **rope("default"), "attention_bias": True, "mlp_bias": True, "num_key_value_heads": 1,
                             "tie_word_embeddings": True}),
    "mistral-window": ("mistral", {**LLAMA, **rope("default"), "sliding_window": 6, "tie_word_embeddings": False}),
    "qwen2": ("qwen2", {**LLAMA, **rope("default"), "tie_word_embeddings": True, "use_sliding_window": False}),
    "gpt-neo": ("gpt_neo", dict(max_position_embeddings=CONTEXT, hidden_size=32, num_layers=3, num_heads=4, window_size=5,
                                attention_types=[[["global", "local"], 1], [["global"], 1]], intermediate_size=96,
                                bos_token_id=0, eos_token_id=0)),
    "gpt-neox": ("gpt_neox", dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96,
                                  max_position_embeddings=CONTEXT, use_parallel_residual=True, tie_word_embeddings=False,
                                  bos_token_id=0, eos_token_id=0,
                                  **{"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}})),
}


# Checkpoints of transformers 4 write rope_theta and rope_scaling; kept in this form to be read in this form.
OLD_STYLE = ("llama-untied-linear", "gpt-neox")


def write_old_style(folder: Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    rope_parameters = config.pop("rope_parameters")
    if config["model_type"] == "gpt_neox":
        config |= {"rotary_pct": rope_parameters["partial_rotary_factor"], "rotary_emb_base": rope_parameters["rope_theta"]}
    else:
        config |= {"rope_theta": rope_parameters["rope_theta"],
                   "rope_scaling": {"type": rope_parameters["rope_type"], "factor": rope_parameters["factor"]}}
    path.write_text(json.dumps(config, indent=2) + "\n")


def make_tokenizer(path: Path) -> Tokenizer:
    """Byte-level BPE with the byte alphabet, one special token and a few merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=["<|endoftext|>"], show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(["the nurse said that she and the farmer said that he"] * 4, trainer)
    assert tokenizer.get_vocab_size() == VOCABULARY
    tokenizer.save(str(path))
    return tokenizer


@torch.no_grad()
def randomise(model, seed: int) -> None:
    """Weights large enough that attention is not flat and logits differ; gains near one; biases that matter."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim == 1:
            gain = name.endswith("weight")
            parameter.copy_(1 + 0.2 * noise if gain else 0.2 * noise)
        else:
            parameter.copy_(noise * (0.6 if "emb" in name or "wte" in name or "wpe" in name else 0.3))


@torch.inference_mode()
def expected(model, ids: list) -> dict:
    last_block = {}
    blocks = next(m for m in model.modules() if isinstance(m, torch.nn.ModuleList))
    handle = blocks[-1].register_forward_hook(lambda m, i, o: last_block.update(out=(o[0] if isinstance(o, tuple) else o)))
    out = model(torch.tensor([ids]), output_hidden_states=True, output_attentions=True, use_cache=False)
    handle.remove()
    # The library's own last hidden state is after the final norm; the block's output is wanted.
    hidden = torch.stack([*out.hidden_states[:-1], last_block["out"]])[:, 0]
    return {"ids": ids, "logits": pack(out.logits[0]), "hidden": pack(hidden), "patterns": pack(torch.stack(out.attentions)[:, 0])}


def make_random_models(root: Path) -> None:
    for seed, (name, (kind, options)) in enumerate(MODELS.items()):
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer = make_tokenizer(folder / "tokenizer.json")
        torch.manual_seed(seed)
        config = AutoConfig.for_model(kind, vocab_size=VOCABULARY, **options)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
        randomise(model, seed)
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        (folder / "model.safetensors").chmod(0o644)
        if name in OLD_STYLE:
            write_old_style(folder)
        # What was saved is what is measured.
        model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
        generator = torch.Generator().manual_seed(1000 + seed)
        prompts = [tokenizer.encode("The nurse said that she").ids, torch.randint(0, VOCABULARY, (20,), generator=generator).tolist()]
        # One after another: what a prompt computes must not depend on another one.
        records = [expected(model, ids) for ids in prompts]
        std = model(torch.tensor([prompts[1]])).logits.std().item()
        write_json(folder / "expected.json", {"schemaVersion": 1, "madeWith": made_with(), "seed": seed, "tolerance": 1e-4,
                                              "logitStd": round(std, 3), "prompts": records})
        print(f"  {name}: logit std {std:.2f}, weights {(folder / 'model.safetensors').stat().st_size / 1e3:.0f} kB, "
              f"{json.loads((folder / 'config.json').read_text())['model_type']}")
