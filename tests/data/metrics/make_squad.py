"""Makes squad.json with the official scripts of SQuAD 1.1 and 2.0.

    python make_squad.py EVALUATE_V1_1_PY EVALUATE_V2_0_PY

Random answers in hostile spellings against one or several right ones; [exact, f1] of each
case by both scripts, in percent.
"""
import importlib.util, json, os, random, sys

HERE = os.path.dirname(os.path.abspath(__file__))


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


first, second = load(sys.argv[1], "first"), load(sys.argv[2], "second")
draw = random.Random(5)
PARTS = [
    "the", "The", "a", "an", "A.", "An-", "theory", "Ann", "über", "ÜBER", "straße", "STRASSE", "İstanbul",
    "Νικος", "ΝΙΚΟΣ", "1999", "½", "一", "日本", "don't", "dont", "U.S.", "US", "co-op", "co_op", "$5", "5%",
    "\u00a0", "\u2009", "\u001f", "\u0085", "\u200b", "e\u0301", "é", "a\u0301", "the\u0301", "“", "’", "—", "♥a♥",
    "x^2", "₂a", "a₂", "_a_", "Ⓐ a", "\t", "\n", "  ",
]


def answer():
    return draw.choice(["", " "]).join(draw.choice(PARTS) for _ in range(draw.randrange(0, 5)))


cases = []
for _ in range(4000):
    gold = [answer() for _ in range(draw.randrange(0, 4))]
    predicted = draw.choice(gold) if gold and draw.random() < 0.4 else answer()
    if draw.random() < 0.3:
        predicted = predicted.upper()
    data = [{"paragraphs": [{"qas": [{"id": "x", "answers": [{"text": text} for text in gold]}]}]}]
    exact, f1 = second.get_raw_scores(data, {"x": predicted})
    case = {"gold": gold, "predicted": predicted, "second": [100.0 * exact["x"], 100.0 * f1["x"]]}
    if gold:
        numbers = first.evaluate(data, {"x": predicted})
        case["first"] = [numbers["exact_match"], numbers["f1"]]
    cases.append(case)
with open(os.path.join(HERE, "squad.json"), "w", encoding="utf-8") as file:
    file.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
