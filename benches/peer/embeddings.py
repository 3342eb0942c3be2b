"""sentence-transformers' figures for what `examples/sentence_embeddings.rs` computes: how the
cosines of pairs correlate with their scores.

    python embeddings.py MODEL TABLE... [--train TABLE --loss cosent --epochs 3]

Tables are tab-separated with a header and without quoting. With --train the model is fitted
first, by its own loss and the settings that the recipe has by default: AdamW, linear decay
after a tenth of the steps, gradients cut to 1, random batches. Prints one JSON object. Needs
sentence-transformers 5.7.0.
"""
import argparse, json, os, time

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from scipy.stats import pearsonr, spearmanr
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import losses
from transformers import get_linear_schedule_with_warmup, set_seed

LOSSES = {
    "cosine": losses.CosineSimilarityLoss,
    "cosent": losses.CoSENTLoss,
    "multiple_negatives": losses.MultipleNegativesRankingLoss,
}
parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("tables", nargs="+")
parser.add_argument("--text", default="sentence1")
parser.add_argument("--pair", default="sentence2")
parser.add_argument("--score", default="score")
parser.add_argument("--max-score", type=float, default=5.0)
parser.add_argument("--train")
parser.add_argument("--loss", choices=LOSSES, default="cosine")
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--max-steps", type=int)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--lr", type=float, default=2e-5)
parser.add_argument("--max-length", type=int)
parser.add_argument("--seed", type=int, default=42)
parser.add_argument("--device", default="cpu")
parser.add_argument("--threads", type=int)
arguments = parser.parse_args()
if arguments.threads:
    torch.set_num_threads(arguments.threads)


def columns(table):
    """Texts, pairs, and scores from 0 to 1."""
    with open(table, encoding="utf-8", newline="\n") as file:
        header, *rows = [line.rstrip("\n").split("\t") for line in file]
    places = [header.index(name) for name in (arguments.text, arguments.pair, arguments.score)]
    texts, pairs, scores = zip(*([row[place] for place in places] for row in rows))
    return list(texts), list(pairs), [float(score) / arguments.max_score for score in scores]


def fit(model):
    texts, pairs, scores = columns(arguments.train)
    size, device = arguments.batch_size, model.device
    steps = arguments.max_steps or arguments.epochs * -(-len(texts) // size)
    decays = {True: [], False: []}
    for weight in model.parameters():
        decays[weight.dim() > 1].append(weight)
    groups = [{"params": decays[decay], "weight_decay": 0.01 * decay} for decay in (True, False)]
    optimizer = torch.optim.AdamW(groups, lr=arguments.lr)
    schedule = get_linear_schedule_with_warmup(optimizer, -(-steps // 10), steps)
    loss = LOSSES[arguments.loss](model)
    model.train()
    step = 0
    while step < steps:
        for rows in torch.randperm(len(texts)).split(size):
            features = [
                {
                    name: value.to(device) if isinstance(value, torch.Tensor) else value
                    for name, value in model.preprocess([column[row] for row in rows]).items()
                }
                for column in (texts, pairs)
            ]
            value = loss(features, torch.tensor([scores[row] for row in rows], device=device))
            value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            step += 1
            if step == steps:
                break
    model.eval()


set_seed(arguments.seed)
model = SentenceTransformer(arguments.model, device=arguments.device)
if arguments.max_length:
    model.max_seq_length = arguments.max_length
results = {}
if arguments.train:
    begun = time.monotonic()
    fit(model)
    results["train_runtime"] = round(time.monotonic() - begun, 2)
for table in arguments.tables:
    texts, pairs, scores = columns(table)
    begun = time.monotonic()
    first, second = (model.encode(column, convert_to_tensor=True) for column in (texts, pairs))
    seconds = time.monotonic() - begun
    cosines = torch.nn.functional.cosine_similarity(first, second).cpu().numpy()
    results[os.path.basename(table)] = {
        "rows": len(texts),
        "spearmanr": float(spearmanr(cosines, scores).statistic),
        "pearson": float(pearsonr(cosines, scores).statistic),
        "runtime": round(seconds, 2),
    }
print(json.dumps(results))
