"""Token ids that Hugging Face `tokenizers` gives to 2,600 strings: unicode, emoji, code, whitespace runs, control characters.

    python scripts/reference/tokenizerStrings.py [--gguf SmolLM2-135M-Instruct.Q4_1.gguf]

Writes test/reference/tokenizers/: `strings.json`, ids by tokenizer in `<name>.json`, and three small tokenizers trained here on
those strings, each in the shape of a family: `gpt2` (byte-level BPE, also as vocab.json and merges.txt), `llama3` (byte-level
BPE with its own splitting rule, merges ignored for whole words, BOS) and `llama2` (BPE with byte fallback, `▁`, BOS). With
--gguf also `smollm2.json`, from the vocabulary in the file. Seeded: everything is made again byte for byte.
"""
import argparse
import json
import random
import unicodedata
from importlib.metadata import version
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

OUT = Path(__file__).parents[2] / "test/reference/tokenizers"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
WORDS = """the a nurse farmer doctor said that she he it will soon be here because of rain in Paris London when Mary and John went to
store gave drink Chief Executive Officer CEO Robert Lisa Tokyo don't I'll we've they're it's O'Neill naïve café über straße
Москва привет мир 東京 你好 世界 한국어 שלום مرحبا नमस्ते สวัสดี Ελλάδα Việt Nam ımport İstanbul ﬁne ﬂow Ⅷ ½ ² ٣٤ १२३ 𝟘𝟙 𝒳""".split()
CODE = ["def f(x):\n    return x**2  # square\n", "for (int i = 0; i < n; ++i) {\n\ta[i] += b[i];\n}\n", "<div class=\"a b\">&nbsp;</div>",
        "SELECT * FROM t WHERE a >= 10.5e-3;", "$ git commit -m 'x' && echo \"$?\"", "{\"a\": [1, 2.0, null], \"b\": {\"c\": true}}",
        "x = {'k': f'{v:>10}'}\r\n\r\nprint(x)", "https://example.org/a?b=c&d=%20e#f", "λx.x → y ≠ z ∀ε>0", "#include <stdio.h>\n"]
EMOJI = ["😀", "👩‍🚀", "🏳️‍🌈", "👍🏽", "🇫🇷", "❤️", "☃", "🤷🏿‍♀️", "👨‍👩‍👧‍👦", "🫠", "1️⃣", "©", "™"]
SPACES = [" ", "  ", "    ", "\t", "\n", "\r\n", "\u00a0", "\u2003", "\u3000", "\u0085", "\u2028", "\ufeff", "\u200b", "\u180e", "\x0b", "\x0c", " \n ", "\n\n\n"]
CONTROL = ["\0", "\x01", "\x1b[31m", "\x7f", "\u0080", "\ufffd", "\u0301", "a\u0301", "\u202e", "\ue000", "\U0010ffff"]
MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<s>", "</s>", "<unk>", "<|begin_of_text|>", "<0x0A>", "▁", "Ġ", "Ċ", "<|endoftext"]


def make_strings() -> list[str]:
    dice = random.Random(7)
    letters = [chr(c) for c in range(0x20000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
    strings = [""] + WORDS + CODE + EMOJI + SPACES + CONTROL + MARKS
    strings += [space * n + tail for space in SPACES for n in (1, 2, 3, 7, 40) for tail in ("", "x", " x", "\n")]
    strings += [str(dice.randrange(10 ** dice.randrange(1, 18))) for _ in range(120)]
    while len(strings) < 1500:
        parts = [dice.choice(dice.choice([WORDS, WORDS, WORDS, CODE, EMOJI, SPACES, CONTROL, MARKS])) for _ in range(dice.randrange(1, 9))]
        strings.append(dice.choice([" ", "", " "]).join(parts))
    while len(strings) < 2100:
        strings.append("".join(dice.choice(letters) for _ in range(dice.randrange(1, 14))))
    while len(strings) < 2400:
        strings.append("".join(chr(dice.randrange(256)) for _ in range(dice.randrange(1, 30))))
    while len(strings) < 2600:
        strings.append("".join(dice.choice("aAzZ019 _-'\"\n\t.,é") for _ in range(dice.randrange(1, 60))))
    return strings


def train(strings: list[str]) -> dict[str, Tokenizer]:
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    gpt2 = Tokenizer(models.BPE())
    gpt2.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    gpt2.decoder = decoders.ByteLevel()
    gpt2.post_processor = processors.ByteLevel(trim_offsets=False)
    gpt2.train_from_iterator(strings, trainers.BpeTrainer(vocab_size=1200, initial_alphabet=alphabet, special_tokens=["<|endoftext|>"], show_progress=False))

    llama3 = Tokenizer(models.BPE(ignore_merges=True))
    llama3.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    llama3.decoder = decoders.ByteLevel()
    llama3.train_from_iterator(strings, trainers.BpeTrainer(vocab_size=1200, initial_alphabet=alphabet, special_tokens=["<|begin_of_text|>"], show_progress=False))
    llama3.post_processor = processors.TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 0)])

    llama2 = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    llama2.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    llama2.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    llama2.train_from_iterator([s for s in strings if s.isascii()], trainers.BpeTrainer(
        vocab_size=900, limit_alphabet=120, special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)], show_progress=False))
    # The bytes are ordinary entries of the vocabulary, not added tokens.
    shape = json.loads(llama2.to_str())
    shape["added_tokens"] = shape["added_tokens"][:3]
    llama2 = Tokenizer.from_str(json.dumps(shape))
    llama2.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return {"gpt2": gpt2, "llama3": llama3, "llama2": llama2}


def write(path: Path, value, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, **options) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gguf", type=Path)
    arguments = parser.parse_args()
    strings = make_strings()
    reference = f"tokenizers {version('tokenizers')}"
    write(OUT / "strings.json", strings, separators=(",", ":"))
    found = train(strings)
    for name, tokenizer in found.items():
        write(OUT / name / "tokenizer.json", json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))
    shape = json.loads(found["gpt2"].to_str())["model"]
    write(OUT / "gpt2-pair/vocab.json", shape["vocab"], separators=(",", ":"))
    (OUT / "gpt2-pair/merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in shape["merges"]))
    if arguments.gguf:
        from gguf import GGUFReader
        from ggufModel import load_tokenizer
        found["smollm2"] = load_tokenizer(GGUFReader(arguments.gguf))
    for name, tokenizer in found.items():
        ids = [tokenizer.encode(text).ids for text in strings]
        write(OUT / f"{name}.json", {"reference": reference, "ids": ids}, separators=(",", ":"))


main()
