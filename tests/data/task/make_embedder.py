"""Makes the reference numbers of tests/it/task/embedder with sentence-transformers.

    python make_embedder.py

`embedder.json` holds pairs of texts with a score and a negative. For each loss
`embedder/<case>.safetensors` has the embeddings (of all texts, all pairs, all negatives),
the loss and all gradients of one batch of them, by ../model/tiny without dropout.
`embedder/saved` is a model as sentence-transformers saves it, and `embedder/saved.safetensors`
what it makes of all texts. Needs torch 2.4.0, transformers 4.57.6 and sentence-transformers
5.7.0.
"""
import json, os, shutil

import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import losses
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

HERE = os.path.dirname(os.path.abspath(__file__))
TINY = os.path.join(HERE, "..", "model", "tiny")
OUT = os.path.join(HERE, "embedder")
torch.set_num_threads(2)

# All texts differ: negatives of a batch are then all those of other rows.
ROWS = [
    ("the film was great", "this is a very good film .", "the film was dull", 0.9),
    ("it was not good", "bad , bad !", "good food", 0.7),
    ("is it food ?", "the film was sad , dull and very , very bad", "no", 0.1),
    ("good", "fine food", "very bad food !", 0.7),
    ("this is very dull", "it is not dull", "great", 0.4),
]
EUCLIDEAN = losses.TripletDistanceMetric.EUCLIDEAN
COSINE = losses.TripletDistanceMetric.COSINE
# Name, loss, pooling, whether vectors are normalised, whether negatives are given.
CASES = [
    ("multiple_negatives", losses.MultipleNegativesRankingLoss, "mean", False, False),
    ("hard_negatives", losses.MultipleNegativesRankingLoss, "cls", False, True),
    ("cosine", losses.CosineSimilarityLoss, "max", False, False),
    ("cosent", losses.CoSENTLoss, "mean", True, False),
    ("triplet", losses.TripletLoss, "mean", False, True),
    (
        "triplet_cosine",
        lambda model: losses.TripletLoss(model, distance_metric=COSINE, triplet_margin=0.5),
        "cls",
        True,
        True,
    ),
]


def model(pooling, normalize, **settings):
    transformer = Transformer(TINY, **settings)
    modules = [transformer, Pooling(32, pooling)] + [Normalize()] * normalize
    return SentenceTransformer(modules=modules, device="cpu").eval()


def case(name, loss, pooling, normalize, negatives):
    embedder = model(pooling, normalize)
    columns = [list(column) for column in zip(*ROWS)]
    texts, scores = columns[: 2 + negatives], torch.tensor(columns[3])
    features = [embedder.preprocess(column) for column in texts]
    value = loss(embedder)(features, scores)
    value.backward()
    with torch.no_grad():
        embeddings = [embedder(embedder.preprocess(column))["sentence_embedding"] for column in texts]
    tensors = {"loss": value.detach().reshape(1), "embeddings": torch.cat(embeddings)}
    for weight_name, weight in embedder.named_parameters():
        if weight.grad is not None:
            part = min(weight_name.index(part) for part in ("embeddings.", "encoder.") if part in weight_name)
            tensors["gradient.bert." + weight_name[part:]] = weight.grad
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, f"{OUT}/{name}.safetensors")
    print(name, float(value), len(tensors))


def saved():
    folder = f"{OUT}/saved"
    embedder = model("max", True, max_seq_length=8)
    embedder.save(folder)
    for file in ("README.md", "tokenizer.json"):
        os.remove(os.path.join(folder, file))
    texts = [text for *row, _ in ROWS for text in row] + [""]
    save_file({"embeddings": torch.tensor(embedder.encode(texts))}, f"{OUT}/saved.safetensors")


shutil.rmtree(OUT, ignore_errors=True)
os.makedirs(OUT)
names = ["text", "pair", "negative", "score"]
with open(OUT + ".json", "w", encoding="utf-8") as file:
    json.dump([dict(zip(names, row)) for row in ROWS], file, indent=1)
for arguments in CASES:
    case(*arguments)
saved()
