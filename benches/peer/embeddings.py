"""sentence-transformers' figures for what `examples/sentence_embeddings.rs` computes: how the
cosines of pairs correlate with their scores.

    python embeddings.py MODEL TABLE... [--text sentence1] [--pair sentence2] [--score score]

Tables are tab-separated with a header and without quoting. Prints one JSON object. Needs
sentence-transformers 5.7.0.
"""
import argparse, json, os, time

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from scipy.stats import pearsonr, spearmanr
from sentence_transformers import SentenceTransformer

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("tables", nargs="+")
parser.add_argument("--text", default="sentence1")
parser.add_argument("--pair", default="sentence2")
parser.add_argument("--score", default="score")
parser.add_argument("--device", default="cpu")
parser.add_argument("--threads", type=int)
arguments = parser.parse_args()
if arguments.threads:
    torch.set_num_threads(arguments.threads)
model = SentenceTransformer(arguments.model, device=arguments.device)

results = {}
for table in arguments.tables:
    with open(table, encoding="utf-8", newline="\n") as file:
        header, *rows = [line.rstrip("\n").split("\t") for line in file]
    columns = [header.index(name) for name in (arguments.text, arguments.pair, arguments.score)]
    texts, pairs, scores = zip(*([row[column] for column in columns] for row in rows))
    begun = time.monotonic()
    first, second = (model.encode(list(column), convert_to_tensor=True) for column in (texts, pairs))
    seconds = time.monotonic() - begun
    cosines = torch.nn.functional.cosine_similarity(first, second).cpu().numpy()
    scores = [float(score) for score in scores]
    results[os.path.basename(table)] = {
        "rows": len(rows),
        "spearmanr": float(spearmanr(cosines, scores).statistic),
        "pearson": float(pearsonr(cosines, scores).statistic),
        "runtime": round(seconds, 2),
    }
print(json.dumps(results))
