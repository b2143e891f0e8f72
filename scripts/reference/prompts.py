"""The prompts of the reference figures, with what is computed on each of them."""

LONG = (
    "The lighthouse stood at the end of a narrow road, two miles from the village, where the wind never stopped. Every "
    "evening, Margaret climbed the one hundred and forty-two steps, wiped the salt from the glass, and lit the lamp. In "
    "1893 a storm took the bridge, and for eleven days nobody could reach her. She wrote in a small blue book: \"Day 4. The "
    "sea is grey. A ship passed at noon, the Elizabeth, bound for Lisbon; I counted three masts.\" When the men came at "
    "last, with ropes and bread and news, they found the lamp burning, the floor swept, and a cat that had not been there "
    "before. Years later, people in the village still argued about that cat. Some said it had swum ashore from a wreck; "
    "others, that Margaret had drawn it in the book one night and that it had simply got up and walked away. Asked about "
    "it, she laughed, and said that"
)
SHE_HE = {" she": 1, " he": -1}
# (text, observable or None)
SMOLLM2 = [
    ("The nurse said that", SHE_HE),
    ("The farmer said that", SHE_HE),
    ("After the long shift, the nurse said that", SHE_HE),
    ("Pat told us that the librarian and the carpenter met in the park, and that", SHE_HE),
    ("When Mary and John went to the store, John gave a drink to", {" Mary": 1, " John": -1}),
    ("When Mary and John went to the store, Mary gave a drink to", {" Mary": 1, " John": -1}),
    ("The Chief Executive Officer (", {"CE": 1, "CF": -1}),
    ("The capital of France is the city of", {" Paris": 1, " London": -1}),
    ("int x = 0;", {" //": 1, " #": -1}),
    ("def fib(n):\n    if n < 2:\n        return n\n    return fib(n - 1) +", None),
    ("for (let i = 0; i < n; i++) {\n\tconsole.log(`${i}`);\n}", None),
    ("Biden is a", {" Democrat": 1, " Republican": -1}),
    ("La capitale de l'Allemagne est", None),
    ("北京是中国的首都，东京是", None),
    ("Ω ≈ ∑ᵢ xᵢ² — naïve café, “quoted” 👩‍🔬🇫🇷", None),
    ("مرحبا بالعالم", None),
    ("3.14159 26535 + 2718 = ", None),
    ("   leading spaces,\t\ttabs\n\n\nand   runs  of    them", None),
    ("<|im_start|>user\nWho wrote Hamlet?<|im_end|>\n<|im_start|>assistant\n", None),
    ('{"name": "Mechanist", "tags": ["a", "b"], "n": 12', None),
    ("The", None),
    ("AAAA aaaa AaAa don't WON'T they're I'll", None),
    ("https://example.org/a_b/c?d=1&e=%20#f", None),
    (LONG, SHE_HE),
]
SMALL_WORLD = [
    ("The nurse said that", SHE_HE),
    ("The farmer said that", SHE_HE),
    ("After the long shift, the nurse said that", SHE_HE),
    ("Mary is late because", SHE_HE),
    ("John is late because", SHE_HE),
    ("When Mary and John went to the shop, John gave a drink to", {" Mary": 1, " John": -1}),
    ("Peter and Paul went to the park, and Peter gave a ball to", {" Paul": 1, " Peter": -1}),
    ("The capital of France is the city of", {" Paris": 1, " London": -1}),
    ("Text it never saw: naïve café 👩‍🔬\n\t{x: 12}", None),
]
# Held-out words of scripts/train/acronymText.py; the last letter, or the first two.
ACRONYMS = [
    ("The Uurak Nelol Sesas (UN", {"S": 1, "U": -1}),
    ("The Penam Oemot Gud (PO", {"G": 1, "O": -1}),
    ("The Yed Honem Lulor (YH", {"L": 1, "H": -1}),
    ("The Yed Honem Lulor (Y", {"H": 1, "L": -1}),
    ("The Yed Honem Lulor (", {"Y": 1, "H": -1}),
]
