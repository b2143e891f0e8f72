#!/usr/bin/env python3
"""Writes models/README.md: what lies below models/, where it comes from, its licence and its sha256. Run it last."""
import hashlib
from pathlib import Path

MODELS = Path(__file__).parents[2] / "models"
TEXT = """\
# Models and what is known of them

| what | made by | licence |
| --- | --- | --- |
| `small-world/` | `scripts/train/smallWorld.py`: generated text, trained from nothing; its own README is the model card | Apache-2.0 |
| `acronyms/` | `scripts/train/acronyms.py`: generated acronyms, trained from nothing; its own README is the model card | Apache-2.0 |
| `planted/` | `scripts/train/planted.py`: weights written by hand; its own README is the model card, `circuit.json` the circuit | Apache-2.0 |
| `reference/` | `scripts/reference/makeReference.py`: logits of Hugging Face transformers in float32, for `mechanist models verify` | Apache-2.0 |
| `catalogue.json` | written by hand: models that can be pulled by name, each with its own licence | Apache-2.0 |

`scripts/reference/README.md` says how to make them again. This page is written by `scripts/reference/writeModelsReadme.py`.

## sha256

| file | bytes | sha256 |
| --- | --- | --- |
{rows}
"""


def main():
    # The catalogue is source code: its history is in git, and it changes without anything being made anew.
    files = sorted(path for path in MODELS.rglob("*") if path.is_file() and path.parent != MODELS)
    rows = [f"| `{path.relative_to(MODELS).as_posix()}` | {path.stat().st_size:,} | `{hashlib.sha256(path.read_bytes()).hexdigest()}` |"
            for path in files]
    (MODELS / "README.md").write_text(TEXT.format(rows="\n".join(rows)))


if __name__ == "__main__":
    main()
