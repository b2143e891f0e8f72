"""Text for the observables study, drawn from SmolLM2-135M itself, so that nobody's text is copied.

    python scripts/examples/corpus.py FOLDER > examples/observables/corpus.txt

FOLDER is a Hugging Face folder of SmolLM2-135M-Instruct. Temperature 1, the 50 likeliest tokens, seed 0; one document in each paragraph.
Most openings name a person or a subject, so that pronouns, jobs, parties and code come up; the rest is left to the model.
"""
import random
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

NAMES = ("Mary John Anna Peter Sarah David Emma James Laura Robert Julia Michael Alice Thomas Jane George Susan Henry Helen Jack "
         "Rachel Daniel Rose Simon Emily Andrew Clara Paul Lucy Kevin").split()
OPENINGS = ("{} woke up early and", "My friend {} told me that", "When {} was a child,", "The story of {} begins in", "{} works as a",
            "Everyone in the village knew that {}", "Last summer {} and", "Dear {},", "In this interview, {} explains")
OTHERS = ("The nurse said that", "The engineer looked at the plan, and", "In the election, the candidate", "The senator told reporters that",
          "Scientists have found that", "The history of the city", "To cook rice, first", "The teacher asked the class", "In 1950,",
          "My mother and my father", "The king and the queen", "def main():\n", "int main() {\n", "The weather today", "A good doctor",
          "The company announced", "Her husband", "His wife", "Once upon a time,", "The Republican party", "The Democratic party")
DOCUMENTS, LENGTH, BATCH = 240, 100, 80


def main(folder: str) -> None:
    torch.manual_seed(0)
    choose = random.Random(0)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = "<|endoftext|>"
    tokenizer.padding_side = "left"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    openings = [choose.choice(OPENINGS).format(choose.choice(NAMES)) if i % 5 < 3 else choose.choice(OTHERS) for i in range(DOCUMENTS)]
    texts = []
    for at in range(0, DOCUMENTS, BATCH):
        batch = tokenizer(openings[at:at + BATCH], return_tensors="pt", padding=True)
        with torch.no_grad():
            drawn = model.generate(**batch, do_sample=True, temperature=1.0, top_k=50, max_new_tokens=LENGTH,
                                   pad_token_id=tokenizer.pad_token_id)
        texts += tokenizer.batch_decode(drawn, skip_special_tokens=True)
    # A document is a paragraph: blank lines inside it become single ones.
    paragraphs = ["\n".join(line for line in text.splitlines() if line.strip()) for text in texts]
    sys.stdout.write("\n\n".join(paragraphs) + "\n")


main(sys.argv[1])
