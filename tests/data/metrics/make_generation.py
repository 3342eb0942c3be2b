"""Makes generation.json.gz with sacrebleu 2.6.0, rouge_score 0.1.2 and Hugging Face's sari.py.

    python make_generation.py SARI_PY

SARI_PY is metrics/sari/sari.py of github.com/huggingface/evaluate at a7dd338. Random texts in hostile
spellings: of each case what sacrebleu and SARI say of it as a whole set, and of its first
texts alone; rougeL of each text and of the best reference.
"""
import gzip, importlib.util, json, logging, os, random, sys, types

logging.disable(logging.WARNING)
# sari.py asks for more than its numbers need.
compat = types.SimpleNamespace
wrap = lambda *_: lambda item: item
sys.modules["datasets"] = compat()
sys.modules["sacremoses"] = compat()
sys.modules["evaluate"] = compat(
    Metric=object, utils=compat(file_utils=compat(add_start_docstrings=wrap))
)
spec = importlib.util.spec_from_file_location("sari", sys.argv[1])
sari = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sari)

from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU

HERE = os.path.dirname(os.path.abspath(__file__))
draw = random.Random(7)
bleu, lower, rouge = BLEU(), BLEU(lowercase=True), RougeScorer(["rougeL"])
PARTS = [
    "the", "The", "a", "cat", "cats", "sat", "on", "mat", "dog", "runs", "Über", "straße", "STRASSE", "İ", "K", "Å",
    "日本", "don't", "1,000.5", "3.14", "U.S.A.", "e.g.", "co-op", "2-3", "-", "--", "x-\ny", "\n", "\t", "\u00a0", "\u2009",
    "\u001f", "\u0085", "\u200b", "\u3000", "&quot;", "&amp;lt;", "&lt;", "&amp;", "<skipped>", "&", "$5", "5%", "...", ",,", ".,",
    "a.b", "1.b", "a.1", "[x]", "{y}", "~", "`", "_", "^", "\\", "/", "@", "#", "'", '"', "“", "’", "—", "½", "²", "٣", "e\u0301",
    "😀", "", " ", "  ", "!?", ":", ";", "=", "+", "(", ")",
]
PLAIN = ["the", "cat", "sat", "on", "a", "mat", ".", ",", "dog", "ran"]


def text(parts, longest):
    return draw.choice(["", " ", " ", " "]).join(draw.choice(parts) for _ in range(draw.randrange(0, longest)))


def near(original):
    """The same with some words gone, doubled, or in other places."""
    words = original.split(" ")
    for _ in range(draw.randrange(0, 4)):
        at = draw.randrange(0, len(words) + 1)
        if draw.random() < 0.5:
            words[at:at] = [draw.choice(PLAIN)]
        else:
            words[at : at + 1] = []
    return " ".join(words)


cases = []
for _ in range(1000):
    parts = draw.choice([PARTS, PLAIN, PARTS + 6 * PLAIN])
    longest = draw.choice([3, 8, 20])
    count = draw.choice([1, 1, 2, 3])
    rows = []
    for _ in range(draw.choice([1, 2, 4, 8])):
        source = text(parts, longest)
        rewrite = lambda: near(source) if draw.random() < 0.8 else text(parts, longest)
        rows.append({"source": source, "text": rewrite(), "references": [rewrite() for _ in range(count)]})
    texts = [row["text"] for row in rows]
    streams = [[row["references"][n] for row in rows] for n in range(count)]
    for row in rows:
        row["rougeL"] = max(rouge.score(gold, row["text"])["rougeL"].fmeasure for gold in row["references"])
    sources, golds = [row["source"] for row in rows], [row["references"] for row in rows]
    cases.append({
        "rows": rows,
        "bleu": bleu.corpus_score(texts, streams).score,
        "bleu_lowercase": lower.corpus_score(texts, streams).score,
        "sari": sari.Sari()._compute(sources, texts, golds)["sari"],
    })
path = os.path.join(HERE, "generation.json.gz")
with open(path, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as file:
    file.write("\n".join(json.dumps(case) for case in cases).encode())
zero = sum(case["bleu"] == 0 for case in cases)
print(len(cases), "cases,", sum(len(c["rows"]) for c in cases), "texts, BLEU 0 in", zero)
