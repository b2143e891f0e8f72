"""The model card of models/acronyms, written from what was measured."""
from pathlib import Path

from acronymText import TAILS, words

CARD = """\
---
license: apache-2.0
language: en
library_name: transformers
---
# acronyms

A GPT-2-family model of {parameters:,} parameters ({layers} layers, {heads} heads, d_model {width}, MLPs of {inner}, context 32, vocabulary {vocabulary}),
float32. It is bundled with Mechanist so that the study of three-letter acronyms runs with no network. It does this task and nothing else.

## Data
Generated: `The Wxx Yyy Zzz (WYZ`, `scripts/train/acronymText.py`. A word is one of 26 capitals and one of {tails} made-up tails, each one token;
letters are uniform and independent, and each capital goes with each tail, so that neither frequency nor tail tells a letter.
{unseen:,} of the {all_words:,} words were never generated: all measures are on prompts of these alone.
The tokenizer adds BOS, and positions count it: 2, 4, 6 are the capitals C1 … C3, 3, 5, 7 the tails, 8 is ` (`, 9 and 10 are A1 and A2;
letter i is predicted at position 7 + i. Half of the training prompts start at a random position of the context, not at 0, so that the
next letter cannot be found by absolute positions alone.

## Recipe
`python scripts/train/acronyms.py --steps {steps} --seed {seed} --layers {layers} --heads {heads} --width {width} --inner {inner} --batch {batch} --rate {rate} --decay {decay} --dropout {dropout} --rest {rest}`
AdamW (0.9, 0.98), cosine schedule, loss on the three letters and, times {rest}, on all other tokens; one thread, {cpu_seconds} CPU seconds with
Python {python}, torch {torch}, transformers {transformers}. The same versions on the same kind of CPU give the same bytes.
Elsewhere rounding differs: expect the measures, not the hashes.

## Measures
LD is the logit of the answer minus the largest of the 25 other bare capitals. Intervals are 95 % (Wilson for shares, normal for means).

| letter | right (top-1 of the vocabulary) | mean LD | least LD |
|---|---|---|---|
{rows}

Circuit, on {c[rows]} prompts: heads outside of it are replaced by their mean over the prompts at each position; M is the mean LD over
letters, F = (M(circuit) − M(no head)) / (M(all heads) − M(no head)).
With no head M is {c[empty]} (by letter {empty}), with all {c[full]}. Taking away, again and again, the head that costs least while F ≥ 0.9
leaves **{c[size]} of {c[of]} heads**, F = {c[faithfulness]}: {heads_line}.
Of {c[draws]} random circuits of this size (seed 0) {c[lower]} have a lower F ({c[interval][0]:.1%}–{c[interval][1]:.1%}); their median is {c[median]}, the largest {c[largest]}.

Mean LD by letter with one head replaced by its mean:

| head | letter 1 | letter 2 | letter 3 |
|---|---|---|---|
{head_rows}
{zero_rows}

A mean by position keeps what depends on the position alone; zero does not (last rows).

Change of the mean LD when one word is another prompt's with another letter (the own change is at least {ratio} times the largest other):

| word | letter 1 | letter 2 | letter 3 |
|---|---|---|---|
{corruption_rows}

## Limits
Not for any use but looking inside. MLPs also matter; these figures leave them in place. {attempts}

## Licence
Apache-2.0, like the project: data, script and weights.

## Files (sha256)
{hash_rows}
"""
ATTEMPTS = """A first version, whose prompts had two to four words and always started
at position 0, did the task by three heads of layer 0 (F 0.91) and passed the same measures; it was given up because more layers are more to look at.
The measures were not changed."""


def write_card(folder: Path, recipe: dict, measures: dict, hashes: dict) -> None:
    circuit, unseen, seen = measures["circuit"], *(sum(map(len, words(held_out).values())) for held_out in (True, False))
    rows = [f"| {m['letter']} | {m['right']} of {m['n']} ({m['interval'][0]:.2%}–{m['interval'][1]:.2%}) | {m['difference']['mean']} "
            f"({m['difference']['interval'][0]}–{m['difference']['interval'][1]}) | {m['least']} |" for m in measures["accuracy"]]
    line = lambda name, values: f"| {name} | {' | '.join(str(value) for value in values)} |"
    (folder / "README.md").write_text(CARD.format(
        **recipe, c=circuit, tails=len(TAILS), unseen=unseen, all_words=unseen + seen, rows="\n".join(rows),
        empty=", ".join(map(str, circuit["emptyByLetter"])), heads_line=", ".join(circuit["heads"]), attempts=ATTEMPTS,
        head_rows="\n".join(line(name, values) for name, values in circuit["necessary"].items()),
        zero_rows="\n".join(line(f"all of layer {layer}, by zero", values) for layer, values in enumerate(measures["zeroed"])), ratio=measures["corruptions"]["ratio"],
        corruption_rows="\n".join(line(j + 1, values) for j, values in enumerate(measures["corruptions"]["changes"])),
        hash_rows="\n".join(f"- `{name}` {value}" for name, value in hashes.items())))
