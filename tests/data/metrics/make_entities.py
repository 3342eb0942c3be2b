"""Makes entities.json and entities_prefixes.json with seqeval 1.2.2: sequences of tags and their
numbers.

    python make_entities.py

entities.json: random, often ill-formed tags of one to three types, in the default mode and
strictly in each scheme. Each case is predicted and right sentences as indexes into the case's
tags, and [precision, recall, f1, f1_macro, accuracy] of each mode that applies.

entities_prefixes.json: the same in the default mode alone, of prefixes that seqeval has no scheme
for, without types, and with types after an underscore; and f1 of each type.
"""
import json, os, random, warnings

import numpy as np
from seqeval.metrics import accuracy_score
from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support
from seqeval.metrics.v1 import precision_recall_fscore_support as strictly
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, IOE1, IOE2

HERE = os.path.dirname(os.path.abspath(__file__))
SCHEMES = {
    "Iob1": (IOB1, "IB"), "Iob2": (IOB2, "IB"), "Ioe1": (IOE1, "IE"), "Ioe2": (IOE2, "IE"),
    "Iobes": (IOBES, "IBES"), "Bilou": (BILOU, "IBLU"),
}
warnings.simplefilter("ignore")
draw = random.Random(7)


def sentence(tags, length):
    # Runs are longer than chance would make them.
    words = []
    while len(words) < length:
        words += [draw.randrange(len(tags))] * draw.choice([1, 1, 1, 2, 3])
    return words[:length]


def numbers(counts):
    return [float(number) for number in counts[:3]]


cases = []
for case in range(3000):
    name = draw.choice(list(SCHEMES))
    scheme, prefixes = SCHEMES[name]
    types = draw.choice([["-PER"], ["-PER", "-LOC"], ["-PER", "-LOC", "-a-b"], [""], ["-PER", ""]])
    if name == "Bilou":
        # In its default mode seqeval knows no L and U; without a type, what it finds there
        # depends on the sentence before.
        types = [kind for kind in types if kind] or ["-PER"]
    tags = ["O"] + [prefix + kind for prefix in prefixes for kind in types]
    right = [sentence(tags, draw.randrange(1, 12)) for _ in range(draw.randrange(1, 6))]
    predicted = [
        [tag if draw.random() < 0.8 else draw.randrange(len(tags)) for tag in row] for row in right
    ]
    named = lambda rows: [[tags[tag] for tag in row] for row in rows]
    a, b = named(right), named(predicted)
    # An average over no types is no number; ours is 0.
    macro = lambda of: float(np.nan_to_num(of))
    record = {
        "scheme": name, "tags": tags, "right": right, "predicted": predicted,
        "accuracy": accuracy_score(a, b),
        "lenient": numbers(precision_recall_fscore_support(a, b, average="micro"))
        + [macro(precision_recall_fscore_support(a, b, average="macro")[2])],
        "strict": numbers(strictly(a, b, average="micro", scheme=scheme))
        + [macro(strictly(a, b, average="macro", scheme=scheme)[2])],
    }
    cases.append(record)
with open(os.path.join(HERE, "entities.json"), "w") as file:
    file.write("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")

PREFIXES = {
    "BMES": "BMES", "BMEO": "BMEO", "BIOES": "BIOES", "BILOU": "BILOU", "BIO": "BIO", "IO": "IO",
    "BO": "BO", "BI": "BI", "EIO": "EIO",
}
cases = []
for case in range(900):
    prefixes = PREFIXES[draw.choice(list(PREFIXES))]
    types = draw.choice([[""], ["-NAME"], ["-NAME", "-ORG"], ["_NAME"], ["_NAME", "_a-b"], ["-NAME", ""]])
    tags = [tag for prefix in prefixes for tag in (["O"] if prefix == "O" else [prefix + t for t in types])]
    right = [sentence(tags, draw.randrange(1, 9)) for _ in range(draw.randrange(1, 6))]
    predicted = [
        [tag if draw.random() < 0.8 else draw.randrange(len(tags)) for tag in row] for row in right
    ]
    named = lambda rows: [[tags[tag] for tag in row] for row in rows]
    a, b = named(right), named(predicted)
    per_type = precision_recall_fscore_support(a, b, average=None)[2]
    found = sorted({kind for kind, _, _ in get_entities(a) + get_entities(b)})
    cases.append({
        "tags": tags, "right": right, "predicted": predicted, "accuracy": accuracy_score(a, b),
        "lenient": numbers(precision_recall_fscore_support(a, b, average="micro")),
        "types": dict(zip(found, map(float, per_type))),
    })
with open(os.path.join(HERE, "entities_prefixes.json"), "w") as file:
    file.write("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")
