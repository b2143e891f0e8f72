"""The model card of models/small-world, written from what was measured."""
import math
from pathlib import Path

import smallWorldText as text

CARD = """\
---
license: apache-2.0
language: en
library_name: transformers
---
# small-world

A GPT-2-family model of {parameters:,} parameters (4 layers, {heads} heads, d_model {width}, context 128, vocabulary {vocabulary}), float32.
It is bundled with Mechanist so that prompts, hovers and panels work with no network. It knows a made-up small world and nothing else.

## Data
Generated text, no corpus: `scripts/train/smallWorldText.py`. {names} names (a name has one gender), {jobs} jobs (the pronoun
follows the gender with the probability given below: a bias on purpose, to be looked for), places, things, people who give things
to each other ("Mary and John went to the shop. John gave a drink to Mary."), {capitals} capitals, a few kinds and colours.
One in eight pairs of frame and person and of giver and receiver, and all held-out frames, were never generated.

## Recipe
`python scripts/train/smallWorld.py --steps {steps} --seed {seed} --vocabulary {vocabulary_limit} --width {width} --heads {heads} --rate {rate}`
AdamW (0.9, 0.98), weight decay 0.1, cosine schedule, 56 single documents or 12 packed rows of 128 tokens a step, one thread,
{cpu_seconds} CPU seconds with Python {python}, torch {torch}, transformers {transformers}, tokenizers {tokenizers}.
The same versions on the same kind of CPU give the same bytes. Elsewhere rounding differs: expect the measures, not the hashes.

## Measures
Sign of " she" − " he" (towards the person's more frequent gender), or of receiver − giver, at the last token; mean in logits.

| prompts | right | n | mean | top-1 |
|---|---|---|---|---|
{rows}

" she" − " he" in logits, with the log odds of the world in brackets, after "The X said that":
{job_line}.

| prompt | " she" − " he" |
|---|---|
{example_rows}

## Limits
Not for any use but looking inside: it speaks only of its small world, and text outside of it gives noise. Jobs are gendered because
the generator makes them so; the figures say nothing about people. It is small enough that a single head can matter for everything.
The held-out frames recombine words and openings that are known. They were in sight while the generator was made: a first version,
which began fewer sentences with an opening such as "In the morning,", had 84 % of names right on held-out frames.

## Licence
Apache-2.0, like the project: data, script and weights.

## Files (sha256)
{hash_rows}
"""


def log_odds(p: float) -> float:
    return math.log(p / (1 - p))


def write_card(path: Path, recipe: dict, measures: dict, jobs: dict, examples: dict, hashes: dict) -> None:
    rows = [f"| {name} | {m['right']} ({m['right'] / m['n']:.1%}) | {m['n']} | {m.get('mean', '')} | {m.get('first', '')} |"
            for name, m in measures.items()]
    path.write_text(CARD.format(
        **recipe, names=len(text.NAMES), jobs=len(text.JOBS), capitals=len(text.CAPITALS), rows="\n".join(rows),
        job_line=", ".join(f"{job} {value:+.2f} ({log_odds(text.JOBS[job]):+.2f})" for job, value in jobs.items()),
        example_rows="\n".join(f"| `{prompt}` | {value:+.2f} |" for prompt, value in examples.items()),
        hash_rows="\n".join(f"- `{name}` {value}" for name, value in hashes.items())))
