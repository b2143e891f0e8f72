#!/usr/bin/env python3
"""Makes the reference figures of interventions, gradients and sweeps: Hugging Face models, plain PyTorch hooks.

    python scripts/reference/interventions.py random
    python scripts/reference/interventions.py smollm2 --gguf SmolLM2-135M-Instruct.Q4_1.gguf

random   test/reference/interventions-<model>.json, float64, for each model of test/reference/models
smollm2  test/reference/interventions-smollm2.json, float32
See README.md beside this file.
"""
import argparse
import os
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
from transformers.utils import logging

from interventionsRandom import make_random
from packed import made_with


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["smollm2", "random"])
    parser.add_argument("--gguf", type=Path)
    args = parser.parse_args()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    made = {**made_with(), "script": "scripts/reference/interventions.py"}
    if args.what == "random":
        make_random(made)
        return
    if not args.gguf:
        parser.error("smollm2 needs --gguf FILE")
    from interventionsSmollm2 import make_smollm2
    make_smollm2(args.gguf, made)


if __name__ == "__main__":
    main()
