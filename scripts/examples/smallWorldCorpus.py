"""Text of the small world that its model did not see in this order: examples/observables/corpus.small-world.txt

    python scripts/examples/smallWorldCorpus.py > examples/observables/corpus.small-world.txt
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "train"))
from smallWorldText import SmallWorld  # noqa: E402

SEED, DOCUMENTS = 20261127, 700
world = SmallWorld(SEED)
sys.stdout.write("\n\n".join(world.document() for _ in range(DOCUMENTS)) + "\n")
