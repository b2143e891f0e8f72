"""Text of a small world: people with names and jobs, places, things, and a few facts.

The world has two regularities that a reader can look for in a model trained on it:

* pronouns: a name has one gender, always; a job has one with the probability in ``JOBS`` (a bias, not grammar);
* indirect objects: "Mary and John went to the shop. John gave a drink to Mary." The receiver is never the giver.

``SmallWorld(seed)`` gives documents for ever. Some (frame, person) and (name, name) pairs, and the frames in
``HELD_OUT_*``, are never generated: accuracy is measured on them.
"""
import random
import zlib

FEMALE = ("Mary Anna Lisa Emma Sarah Laura Julia Alice Kate Jane Susan Linda Karen Nancy Helen Ruth Rose Clara Maria "
          "Lucy Ella Grace Amy Emily Rachel Carol Diana Eva Sophie Elena").split()
MALE = ("John Peter Paul Mark David James Robert Michael William Thomas George Henry Jack Tom Daniel Simon Adam Ben "
        "Frank Carl Martin Kevin Brian Steven Andrew Max Oscar Leo Victor Edward").split()
NAMES = FEMALE + MALE
# Probability that the person is a woman.
JOBS = {
    **dict.fromkeys("nurse secretary librarian maid dancer nanny receptionist hairdresser florist housekeeper".split(), 0.85),
    **dict.fromkeys("farmer carpenter soldier plumber mechanic pilot builder miner blacksmith guard".split(), 0.15),
    "teacher": 0.7, "cashier": 0.7, "driver": 0.3, "engineer": 0.3,
    "doctor": 0.5, "lawyer": 0.5, "student": 0.5, "writer": 0.5, "cook": 0.5, "artist": 0.5,
}
BIASED_JOBS = [job for job, p in JOBS.items() if abs(p - 0.5) > 0.3]
PLACES = ("shop park school hospital office farm library market station kitchen garden beach museum church bank "
          "restaurant house store").split()
THINGS = "drink book ring key letter ball flower cake map bag pen cup hat gift ticket coat bottle phone".split()
CAPITALS = dict(pair.split(":") for pair in (
    "France:Paris Italy:Rome Spain:Madrid Germany:Berlin England:London Japan:Tokyo China:Beijing Russia:Moscow "
    "Egypt:Cairo Greece:Athens Poland:Warsaw Portugal:Lisbon Norway:Oslo Sweden:Stockholm Ireland:Dublin Kenya:Nairobi "
    "Peru:Lima Cuba:Havana Austria:Vienna Hungary:Budapest").split())
KINDS = {
    "animal": "dog cat horse cow sheep pig fox bear".split(), "bird": "eagle owl duck crow".split(),
    "fruit": "apple pear plum lemon".split(), "tool": "hammer saw drill shovel".split(),
    "plant": "rose tulip fern".split(),
}
COLORS = {"sky": "blue", "grass": "green", "snow": "white", "sun": "yellow", "blood": "red", "coal": "black"}
ADJECTIVES = "tired happy sad hungry angry ill busy late ready cold".split()
REASONS = ("missed the bus|was tired|was ill|had to work|lost the key|slept too long|forgot the time|had a long shift|"
           "needed some rest|wanted to be alone|had to help a friend|was hungry").split("|")
ERRANDS = ("wanted to buy a {thing}|needed a {thing}|had to meet a friend|wanted to see the {job}|"
           "was looking for a {thing}|had lost a {thing}").split("|")
WISHES = ("wanted to go home|was {adj}|would come back soon|had lost a {thing}|had seen a {kind}|liked the {thing}|"
          "would go to {city}|needed a new {thing}|was going to the {place}|did not like the {place}|could help").split("|")

# {A} is a person, {a} the pronoun, {o} him or her, {s} his or her, {tail} one of WISHES, REASONS or ERRANDS.
SAYING = ("{A} said that {a} {wish}", "{A} says that {a} {wish}", "{A} told us that {a} {wish}",
          "{A} thinks that {a} {wish}", "{A} hoped that {a} {wish}", "{A} explained that {a} {wish}",
          "{A} knew that {a} {wish}", "{A} was sure that {a} {wish}")
BECAUSE = ("{A} is late because {a} {reason}", "{A} was late because {a} {reason}", "{A} went home because {a} {reason}",
           "{A} went to the {place} because {a} {errand}", "{A} came to the {place} because {a} {errand}",
           "{A} is {adj} because {a} {reason}", "{A} left the {place} because {a} {reason}",
           "{A} called the {job} because {a} {reason}", "{A} stayed at home because {a} {reason}")
OTHER = ("When {A} came to the {place}, {a} was {adj}", "{A} opened the bag and {a} took the {thing}",
         "{A} lives in {city}, and {a} likes it", "{A} lost {s} {thing} in the {place}", "{A} is {adj}, isn't {a}",
         "{A} took {s} {thing} to the {place}", "{A} forgot {s} {thing}, so we called {o}",
         "{A} was {adj}, so we helped {o}", "We saw {A} in the {place} and gave {o} a {thing}",
         "We met {A} and asked {o} for a {thing}")
FRAMES = SAYING + BECAUSE + OTHER
OPENERS = ("In the morning, ", "After the long shift, ", "At the {place}, ", "Yesterday, ", "Then, ", "Last week, ")
# Only measured, never trained on. Every word of them is known from elsewhere.
HELD_OUT_FRAMES = ("In the evening, {A} told us that {a} {wish}", "{A} left home because {a} {reason}",
                   "When the bus was late, {A} was sure that {a} {wish}")
FOLLOW_UPS = ("{Sub} {wish}.", "{Sub} went to the {place}.", "{Sub} put {s} {thing} in the bag.",
              "In the evening, {a} went home.", "Then {a} called {s} friend.", "We asked {o} about it.",
              "At the {place}, {a} met a friend.")
ASIDES = ("the bus was late", "it was cold", "the {place} was closed", "they were ready", "the {thing} was new")
GIVE_OPENERS = ("When {X} and {Y} went to the {place}, ", "{X} and {Y} went to the {place}. ",
                "{X} and {Y} went to the {place}, and ", "{X} and {Y} went to the {place}, ",
                "After {X} and {Y} came to the {place}, ", "{X} and {Y} were at the {place}. Then, ",
                "{X} and {Y} met in the {place}. ", "Then, {X} and {Y} went to the {place}. ",
                "{X} and {Y} had a long day at the {place}, and ")
GIVES = ("{S} gave a {thing} to {R}", "{S} gave the {thing} to {R}", "{S} handed a {thing} to {R}",
         "{S} sent a {thing} to {R}", "{S} wanted to give a {thing} to {R}", "{S} showed a {thing} to {R}")
HELD_OUT_OPENERS = ("In the morning, {X} and {Y} came to the {place}. ", "When {X} and {Y} met in the {place}, ")


def is_held_out(*parts: str) -> bool:
    """One pair in eight, fixed for ever by its text."""
    return zlib.crc32("|".join(parts).encode()) % 8 == 0


def held_out_pair(x: str, y: str) -> bool:
    return is_held_out("pair", *sorted((x, y)))


def sentence_case(text: str) -> str:
    return text[0].upper() + text[1:]


class SmallWorld:
    def __init__(self, seed: int):
        self.random = random.Random(seed)

    def fill(self, text: str, **given: str) -> str:
        pick = self.random.choice
        slots = dict(wish=pick(WISHES), reason=pick(REASONS), errand=pick(ERRANDS), **given)
        for _ in range(2):  # tails hold slots themselves
            slots |= dict(place=pick(PLACES), thing=pick(THINGS), adj=pick(ADJECTIVES), city=pick(list(CAPITALS.values())),
                          kind=pick(KINDS["animal"]), job=pick(list(JOBS)))
            text = text.format(**slots)
        return text

    def person(self):
        """How the text names someone, and whether it is a woman."""
        if self.random.random() < 0.5:
            name = self.random.choice(NAMES)
            return name, name in FEMALE
        job = self.random.choice(list(JOBS))
        return "the " + job, self.random.random() < JOBS[job]

    def about_one(self, more: float = 0.25) -> str:
        """A sentence about someone, what followed, and with the probability `more` the same about someone else."""
        frame = self.random.choice(FRAMES)
        who, woman = self.person()
        while is_held_out(frame, who):
            who, woman = self.person()
        words = dict(a="she", o="her", s="her") if woman else dict(a="he", o="him", s="his")
        if "that {a}" in frame and self.random.random() < 0.15:
            frame = frame.replace("{a} {wish}", self.random.choice(ASIDES))
        end = "?" if "isn't" in frame else "."
        if self.random.random() < 0.3:
            frame = self.random.choice(OPENERS) + frame.replace("We ", "we ").replace("When ", "when ")
        text = sentence_case(self.fill(frame, A=who, **words)) + end
        for _ in range(self.random.choice((0, 0, 1, 2))):
            text += " " + self.fill(self.random.choice(FOLLOW_UPS), Sub=words["a"].capitalize(), **words)
        return text + " " + self.about_one(0) if self.random.random() < more else text

    def about_two(self) -> str:
        x, y = self.random.sample(NAMES, 2)
        while held_out_pair(x, y):
            x, y = self.random.sample(NAMES, 2)
        giver, receiver = (x, y) if self.random.random() < 0.5 else (y, x)
        text = self.random.choice(GIVE_OPENERS) + self.random.choice(GIVES) + "."
        text = self.fill(text, X=x, Y=y, S=giver, R=receiver)
        if self.random.random() < 0.3:
            text += f" {receiver} thanked {'her' if giver in FEMALE else 'him'}."
        return text

    def met(self) -> str:
        (x, _), (y, _) = self.person(), self.person()
        who = self.random.choice(NAMES)
        return self.fill(f"{who} told us that {x} and {y} met in the {{place}}, and that they {{wish}}.".replace("they was", "they were"))

    def fact(self) -> str:
        roll = self.random.random()
        if roll < 0.6:
            country, city = self.random.choice(list(CAPITALS.items()))
            return self.random.choice((f"The capital of {country} is the city of {city}.", f"{city} is the capital of {country}.",
                                       f"We went to {city}, the capital of {country}."))
        if roll < 0.85:
            kind = self.random.choice(list(KINDS))
            thing = self.random.choice(KINDS[kind])
            return f"{'An' if thing[0] in 'aeiou' else 'A'} {thing} is a type of {kind}."
        thing, color = self.random.choice(list(COLORS.items()))
        return f"The color of the {thing} is {color}."

    def document(self) -> str:
        roll = self.random.random()
        if roll < 0.46:
            return self.about_one()
        if roll < 0.88:
            return self.about_two()
        return self.met() if roll < 0.92 else self.fact()
