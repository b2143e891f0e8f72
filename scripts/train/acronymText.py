"""Prompts, words and tokenizer of the acronym models: `The Wxx Yyy Zzz (WYZ`.

A word is a spaced capital and a tail, each one token; all 26 capitals go with all 100 tails, so that a tail says nothing of a
letter and each letter is as frequent as any other. One word in five is never generated for training.
With the BOS token, which the tokenizer adds, the positions are 0 BOS, 1 The, 2 C1, 3 T1, 4 C2, 5 T2, 6 C3, 7 T3, 8 ` (`, 9 A1, 10 A2;
letter i is predicted at position 7 + i.
"""
import json
import random
import zlib
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

BOS = "<|endoftext|>"
CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
VOWELS, CODAS = "aeiou", "dklmnrst"
SYLLABLES = [v + c for v in VOWELS for c in CODAS]
TAILS = SYLLABLES[::2] + [a + b for i, a in enumerate(SYLLABLES) for b in (SYLLABLES[(3 * i + 7) % 40], SYLLABLES[(5 * i + 16) % 40])]
ROLES = {"BOS": 0, "The": 1, "C1": 2, "T1": 3, "C2": 4, "T2": 5, "C3": 6, "T3": 7, "P": 8, "A1": 9, "A2": 10}
ANSWERS = (8, 9, 10)


def is_held_out(capital: str, tail: str) -> bool:
    """One word in five, fixed for ever by its text."""
    return zlib.crc32((capital + tail).encode()) % 5 == 0


def words(held_out: bool) -> dict:
    """Capital → tails."""
    return {c: [t for t in TAILS if is_held_out(c, t) == held_out] for c in CAPITALS}


def make_tokenizer(folder: Path, context: int) -> Tokenizer:
    """Byte-level BPE whose merges are written by hand: no text can split a word elsewhere than after its capital."""
    # Consonants never merge with a following vowel, so the syllables of a tail are found in any order of merging.
    merges = [("Ġ", c) for c in CAPITALS] + [("Ġ", "(")] + [(s[0], s[1]) for s in SYLLABLES] + [("h", "e"), ("T", "he")]
    merges += [(t[:2], t[2:]) for t in TAILS if len(t) == 4]
    pieces = [BOS, *sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in merges)]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([BOS])
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, vocab[BOS])])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.model.save(str(folder))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False, "add_bos_token": True, "bos_token": BOS, "eos_token": BOS,
         "unk_token": BOS, "model_max_length": context}, indent=2) + "\n")
    return tokenizer


class Ids:
    """Ids of the pieces of a prompt."""

    def __init__(self, tokenizer: Tokenizer):
        def one(text: str) -> int:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            assert len(ids) == 1, (text, ids)
            return ids[0]

        self.bos, self.the, self.paren = tokenizer.token_to_id(BOS), one("The"), one(" (")
        self.bare, self.spaced = {c: one(c) for c in CAPITALS}, {c: one(" " + c) for c in CAPITALS}
        self.tails = {t: one(t) for t in TAILS}

    def row(self, parts) -> list:
        """Ids of a prompt and its last answer: 12 for three words."""
        body = [i for c, t in parts for i in (self.spaced[c], self.tails[t])]
        return [self.bos, self.the, *body, self.paren, *(self.bare[c] for c, _ in parts)]


class Prompts:
    """Prompts without end: some words, letters uniform and independent (`distinct`: all different)."""

    def __init__(self, seed: int, held_out: bool):
        self.random, self.words = random.Random(seed), words(held_out)

    def parts(self, count: int = 3, distinct: bool = False) -> list:
        pick = self.random
        letters = pick.sample(CAPITALS, count) if distinct else pick.choices(CAPITALS, k=count)
        return [(c, pick.choice(self.words[c])) for c in letters]


def prompt_text(parts) -> str:
    return f"The {' '.join(c + t for c, t in parts)} ({''.join(c for c, _ in parts[:-1])}"


def write_dataset(path: Path, rows: int, seed: int) -> None:
    """Rows of held-out words for both models, no letter twice in a row (the planted circuit cannot tell two equal letters apart)."""
    prompts = Prompts(seed, held_out=True)
    permute = {"all": {"permute": ["*"], "collisions": "exclude"}}
    permute |= {f"cur:L{i}": {"permute": [f"C{i}", f"T{i}"], "collisions": "exclude"} for i in (1, 2, 3)}
    permute |= {f"prev:L{i}": {"permute": [f"<C{i}"]} for i in (2, 3)}
    permute |= {"let:L2": {"permute": ["A1"], "collisions": "exclude"}, "let:L3": {"permute": ["A1", "A2"], "collisions": "exclude"}}
    header = {"dataset": {"name": "acronyms of held-out words", "model": "acronyms", "seed": seed, "sets": {"caps": list(CAPITALS)},
                          "corruptions": permute,
                          "made": {"script": "scripts/train/acronyms.py", "rows": rows, "words": "held out of training",
                                   "letters": "uniform, all different within a row", "bos": "counted in positions"}}}
    lines, seen = [header], set()
    while len(lines) <= rows:
        parts = prompts.parts(distinct=True)
        if prompt_text(parts) in seen:
            continue
        seen.add(prompt_text(parts))
        answers = [{"name": f"L{i + 1}", "pos": pos, "token": parts[i][0], "foils": "@caps"} for i, pos in enumerate(ANSWERS)]
        lines.append({"id": len(lines), "clean": prompt_text(parts), "roles": ROLES, "answers": answers})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
