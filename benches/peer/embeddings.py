"""sentence-transformers' half of `cargo xtask compare` where texts are compared by their
vectors: how the cosines of pairs correlate with their scores.

    python embeddings.py sentence_embeddings --model DIR --test FILE ...

The first word is the recipe, and the flags are the recipe's, with the same meaning and the same
defaults. Tables are tab-separated with a header and without quoting. With --train the model is
fitted first, by sentence-transformers' own loss: AdamW, linear decay after a tenth of the
steps, gradients cut to 1, random batches. Prints one JSON object whose keys are those of the
recipe's results. Needs sentence-transformers 5.7.0.
"""
import argparse
import json
import os
import time

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
parser.add_argument("task", choices=["sentence_embeddings"])
parser.add_argument("--model", required=True)
parser.add_argument("--test", required=True)
parser.add_argument("--text-column", default="text")
parser.add_argument("--pair-column", required=True)
parser.add_argument("--label-column", required=True)
parser.add_argument("--max-score", type=float, required=True)
parser.add_argument("--train")
parser.add_argument("--loss", choices=LOSSES, default="cosine")
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--lr", type=float, default=2e-5)
parser.add_argument("--max-length", type=int)
parser.add_argument("--seed", type=int, default=42)
parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
arguments = parser.parse_args()
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))


COLUMNS = (arguments.text_column, arguments.pair_column, arguments.label_column)


def products():
    return torch.autocast("cpu", torch.bfloat16, enabled=arguments.precision == "bf16")


def columns(table):
    """Texts, pairs, and scores from 0 to 1."""
    with open(table, encoding="utf-8", newline="\n") as file:
        header, *rows = [line.rstrip("\n").split("\t") for line in file]
    places = [header.index(name) for name in COLUMNS]
    texts, pairs, scores = zip(*([row[place] for place in places] for row in rows))
    return list(texts), list(pairs), [float(score) / arguments.max_score for score in scores]


def fit(model):
    texts, pairs, scores = columns(arguments.train)
    size, device = arguments.batch_size, model.device
    steps = arguments.epochs * -(-len(texts) // size)
    decays = {True: [], False: []}
    for weight in model.parameters():
        decays[weight.dim() > 1].append(weight)
    groups = [{"params": decays[decay], "weight_decay": 0.01 * decay} for decay in (True, False)]
    optimizer = torch.optim.AdamW(groups, lr=arguments.lr)
    schedule = get_linear_schedule_with_warmup(optimizer, -(-steps // 10), steps)
    loss = LOSSES[arguments.loss](model)
    model.train()
    for _ in range(arguments.epochs):
        for rows in torch.randperm(len(texts)).split(size):
            features = [
                {
                    name: value.to(device) if isinstance(value, torch.Tensor) else value
                    for name, value in model.preprocess([column[row] for row in rows]).items()
                }
                for column in (texts, pairs)
            ]
            labels = torch.tensor([scores[row] for row in rows], device=device)
            with products():
                value = loss(features, labels)
            value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    model.eval()


set_seed(arguments.seed)
model = SentenceTransformer(arguments.model, device="cpu")
if arguments.max_length:
    model.max_seq_length = arguments.max_length
results = {}
if arguments.train:
    begun = time.monotonic()
    fit(model)
    results["train_runtime"] = time.monotonic() - begun
texts, pairs, scores = columns(arguments.test)
with products():
    first, second = (model.encode(column, convert_to_tensor=True) for column in (texts, pairs))
cosines = torch.nn.functional.cosine_similarity(first.float(), second.float()).numpy()
results["test_spearmanr"] = float(spearmanr(cosines, scores).statistic)
results["test_pearson"] = float(pearsonr(cosines, scores).statistic)
results["test_samples"] = len(texts)
print(json.dumps(results))
