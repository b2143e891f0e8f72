#!/usr/bin/env python3
"""Trains the bundled model models/small-world from nothing: text, tokenizer, GPT-2, measures, model card.

    python scripts/train/smallWorld.py [--out models/small-world] [--steps 3000] [--seed 0]

Install: scripts/reference/requirements.txt. One thread, seeded, float32, CPU. The same torch on the same kind of CPU
gives the same bytes; elsewhere rounding differs, and the measures, which are printed and written to the card, should not.
"""
import argparse
import hashlib
import json
import math
import os
import platform
import time
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
import tokenizers
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel

import smallWorldText as text
from smallWorldCard import write_card

END = "<|endoftext|>"
N_CTX = 128
MUST_BE_ONE_TOKEN = (
    [" she", " he", " her", " him", " his", " She", " He", "The", "When"]
    + [space + name for name in text.NAMES for space in ("", " ")]
    + [" " + word for word in (*text.JOBS, *text.PLACES, *text.THINGS, *text.CAPITALS, *text.CAPITALS.values())]
)


def make_tokenizer(seed: int, size: int, folder: Path) -> Tokenizer:
    """Byte-level BPE over the whole byte alphabet, no text normalised, nothing added before or after the text."""
    world = text.SmallWorld(seed)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=[END], show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    # Each word at least 20 times, so that rare ones become one token too.
    tokenizer.train_from_iterator([*(world.document() for _ in range(20000)), *MUST_BE_ONE_TOKEN * 20], trainer)
    split = [word for word in MUST_BE_ONE_TOKEN if len(tokenizer.encode(word).ids) != 1]
    if split:
        raise SystemExit(f"{len(split)} words split, raise --vocabulary: {split}")
    tokenizer.model.save(str(folder))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False, "bos_token": END, "eos_token": END,
         "unk_token": END, "model_max_length": N_CTX}, indent=2) + "\n")
    return tokenizer


class Batches:
    """Token batches without end: in turn, single documents from position 0, and documents packed up to the context."""

    def __init__(self, tokenizer: Tokenizer, seed: int):
        self.world, self.tokenizer = text.SmallWorld(seed), tokenizer
        self.end = tokenizer.token_to_id(END)

    def ids(self, count: int):
        documents = [self.world.document() for _ in range(count)]
        return [e.ids + [self.end] for e in self.tokenizer.encode_batch(documents)]

    def single(self, rows: int, width: int = 40):
        batch = torch.full((rows, width), -100)
        for row, ids in zip(batch, self.ids(rows), strict=True):
            row[: len(ids[:width])] = torch.tensor(ids[:width])
        return batch

    def packed(self, rows: int):
        stream = []
        while len(stream) < rows * N_CTX:
            stream += [token for ids in self.ids(64) for token in ids]
        return torch.tensor(stream[: rows * N_CTX]).view(rows, N_CTX)


def train(tokenizer: Tokenizer, args) -> GPT2LMHeadModel:
    torch.manual_seed(args.seed)
    model = GPT2LMHeadModel(GPT2Config(
        vocab_size=tokenizer.get_vocab_size(), n_positions=N_CTX, n_embd=args.width, n_layer=4, n_head=args.heads,
        resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, bos_token_id=0, eos_token_id=0))
    decay = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW([dict(params=decay, weight_decay=0.1), dict(params=plain, weight_decay=0)],
                                  lr=args.rate, betas=(0.9, 0.98))
    batches, start, warm = Batches(tokenizer, args.seed + 2), time.time(), 100
    for step in range(args.steps):
        rate = args.rate * min((step + 1) / warm, 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / args.steps)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = batches.packed(12) if step % 4 == 3 else batches.single(56)
        logits = model(batch.clamp(min=0)).logits[:, :-1]
        loss = cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten(), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0 or step == args.steps - 1:
            print(f"step {step} loss {loss.item():.4f} {time.time() - start:.0f} s", flush=True)
    return model.eval()


class Measure:
    """Accuracy of the sign of a logit difference, on prompts that were never generated for training."""

    def __init__(self, tokenizer, model):
        self.tokenizer, self.model = tokenizer, model
        self.she, self.he = tokenizer.token_to_id("Ġshe"), tokenizer.token_to_id("Ġhe")

    @torch.inference_mode()
    def last(self, prompt: str):
        return self.model(torch.tensor([self.tokenizer.encode(prompt).ids])).logits[0, -1]

    def pronoun(self, prompt: str) -> float:
        logits = self.last(prompt)
        return (logits[self.she] - logits[self.he]).item()

    def pronouns(self, frames, people) -> dict:
        """`people`: {how the text names someone: is a woman more often}."""
        world, right, values = text.SmallWorld(99), 0, []
        for frame in frames:
            if "{a}" not in frame or "isn't" in frame:
                continue
            for who, woman in people.items():
                if frame in text.FRAMES and not text.is_held_out(frame, who):
                    continue
                before = text.sentence_case(world.fill(frame.split(" {a}")[0], A=who))
                values.append(self.pronoun(before) * (1 if woman else -1))
                right += values[-1] > 0
        return {"right": right, "n": len(values), "mean": round(sum(values) / len(values), 3)}

    def indirect_objects(self, openers, pairs) -> dict:
        world, right, first, total = text.SmallWorld(98), 0, 0, 0.0
        for i, (x, y) in enumerate(pairs):
            giver, receiver = (x, y) if i % 2 else (y, x)
            prompt = world.fill(openers[i % len(openers)] + world.random.choice(text.GIVES).removesuffix(" {R}"),
                                X=x, Y=y, S=giver)
            logits = self.last(prompt)
            r, g = (self.tokenizer.token_to_id("Ġ" + name) for name in (receiver, giver))
            right += bool(logits[r] > logits[g])
            first += bool(logits.argmax() == r)
            total += (logits[r] - logits[g]).item()
        return {"right": right, "n": len(pairs), "first": first, "mean": round(total / len(pairs), 3)}

    def capitals(self) -> dict:
        right = sum(bool(self.last(f"The capital of {country} is the city of").argmax() == self.tokenizer.token_to_id("Ġ" + city))
                    for country, city in text.CAPITALS.items())
        return {"right": right, "n": len(text.CAPITALS)}

    def all(self) -> dict:
        names = {name: name in text.FEMALE for name in text.NAMES}
        jobs = {"the " + job: text.JOBS[job] > 0.5 for job in text.BIASED_JOBS}
        pairs = [(x, y) for x in text.NAMES for y in text.NAMES if x < y and text.held_out_pair(x, y)]
        seen = text.SmallWorld(97).random.sample([(x, y) for x in text.NAMES for y in text.NAMES if x < y and not text.held_out_pair(x, y)], 200)
        return {
            "names, held-out pairs of frame and name": self.pronouns(text.FRAMES, names),
            "biased jobs, held-out pairs of frame and job": self.pronouns(text.FRAMES, jobs),
            **{f"{who}, held-out frame `{frame.split(' {a}')[0]}`": self.pronouns([frame], people)
               for frame in text.HELD_OUT_FRAMES for who, people in (("names", names), ("biased jobs", jobs))},
            "indirect object, held-out pairs of names": self.indirect_objects(text.GIVE_OPENERS, pairs),
            "indirect object, held-out openers, seen pairs": self.indirect_objects(text.HELD_OUT_OPENERS, seen),
            "capitals (seen in training)": self.capitals(),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[2] / "models" / "small-world")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vocabulary", type=int, default=1536)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--rate", type=float, default=2e-3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    args.out.mkdir(parents=True, exist_ok=True)
    started = time.process_time()
    tokenizer = make_tokenizer(args.seed + 1, args.vocabulary, args.out)
    model = train(tokenizer, args)
    model.save_pretrained(args.out)
    (args.out / "generation_config.json").unlink(missing_ok=True)
    (args.out / "model.safetensors").chmod(0o644)
    measure = Measure(tokenizer, model)
    measures = measure.all()
    jobs = {job: round(measure.pronoun(f"The {job} said that"), 2) for job in text.JOBS}
    examples = {prompt: round(measure.pronoun(prompt), 2) for prompt in ("The nurse said that", "The farmer said that",
                "Mary is late because", "John is late because", "After the long shift, the nurse said that",
                "Mary went to the shop because", "When John came to the office,")}
    recipe = {"steps": args.steps, "seed": args.seed, "vocabulary_limit": args.vocabulary, "vocabulary": tokenizer.get_vocab_size(), "width": args.width,
              "heads": args.heads, "rate": args.rate, "parameters": sum(p.numel() for p in model.parameters()),
              "cpu_seconds": round(time.process_time() - started), "python": platform.python_version(),
              "torch": torch.__version__, "transformers": transformers.__version__, "tokenizers": tokenizers.__version__}
    print(json.dumps({**measures, "jobs": jobs, "examples": examples}, indent=1))
    files = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt")
    hashes = {name: hashlib.sha256((args.out / name).read_bytes()).hexdigest() for name in files}
    write_card(args.out / "README.md", recipe, measures, jobs, examples, hashes)


if __name__ == "__main__":
    main()
