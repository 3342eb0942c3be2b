"""Writes classification.json: confusion matrices and scikit-learn's metrics of them.

    python make_classification.py        (scikit-learn 1.9.1, numpy 2)

Each case has the counts of a matrix, row by row (row: target, column: predicted),
the metrics in the order of `metrics` at the top (two classes have all of them, other
numbers the first seven), and for one class its precision, recall and F1. All are
scikit-learn's, rounded to 15 decimals, with zero_division=0 and, where there is a
choice, without `labels`; an empty case, which it refuses, has zeros.

Large counts are given to it as sample weights. Its Matthews correlation subtracts
large floats; for large counts the exact fraction stands here instead, and the script
checks that both agree to 1e-9.
"""

import json
import math
import sys
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import sklearn
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from sklearn.metrics import precision_recall_fscore_support

warnings.filterwarnings("ignore")
random = np.random.default_rng(20240607)


def exact_matthews(counts):
    rows = [[int(count) for count in row] for row in counts]
    targets = [sum(row) for row in rows]
    predictions = [sum(column) for column in zip(*rows)]
    total = sum(targets)
    chance = sum(t * p for t, p in zip(targets, predictions))
    covariance = sum(rows[i][i] for i in range(len(rows))) * total - chance
    product = (total**2 - sum(t * t for t in targets)) * (
        total**2 - sum(p * p for p in predictions)
    )
    if product == 0:
        return 0.0
    squared = float(Fraction(covariance**2, product))
    return math.copysign(math.sqrt(squared), covariance)


def case(name, counts, one_class):
    counts = np.asarray(counts, dtype=np.int64)
    classes = len(counts)
    if counts.sum() == 0:
        # scikit-learn refuses to judge nothing.
        try:
            accuracy_score([], [])
            sys.exit("scikit-learn takes an empty case now: take its numbers")
        except ValueError:
            metrics = dict.fromkeys(METRICS[: 10 if classes == 2 else 7], 0.0)
            return entry(name, counts, one_class, metrics, [0.0, 0.0, 0.0])
    target, predicted = np.nonzero(counts)
    weights = counts[target, predicted]
    if weights.max() < 10_000:
        repeats = weights
        target, predicted = np.repeat(target, repeats), np.repeat(predicted, repeats)
        options = {}
    else:
        options = {"sample_weight": weights.astype(np.float64)}
    matthews = matthews_corrcoef(target, predicted, **options)
    if options:
        exact = exact_matthews(counts)
        assert abs(exact - matthews) < 1e-9, (name, exact, matthews)
        matthews = exact
    options["zero_division"] = 0
    averaged = {
        average: precision_recall_fscore_support(target, predicted, average=average, **options)
        for average in ("macro", "micro", "weighted")
    }
    metrics = {
        "accuracy": accuracy_score(
            target, predicted, sample_weight=options.get("sample_weight")
        ),
        "precision_macro": averaged["macro"][0],
        "recall_macro": averaged["macro"][1],
        "f1_macro": averaged["macro"][2],
        "f1_micro": averaged["micro"][2],
        "f1_weighted": averaged["weighted"][2],
        "matthews_correlation": matthews,
    }
    if classes == 2:
        precision, recall, f1, _ = precision_recall_fscore_support(
            target, predicted, average="binary", pos_label=1, **options
        )
        metrics |= {"precision": precision, "recall": recall, "f1": f1}
    each = precision_recall_fscore_support(
        target, predicted, labels=[one_class], average=None, **options
    )
    return entry(name, counts, one_class, metrics, [value[0] for value in each[:3]])


METRICS = (
    "accuracy",
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "f1_micro",
    "f1_weighted",
    "matthews_correlation",
    "precision",
    "recall",
    "f1",
)


def rounded(value):
    return round(float(value), 15)


def entry(name, counts, one_class, metrics, each):
    assert tuple(metrics) == METRICS[: len(metrics)]
    return {
        "name": name,
        "classes": len(counts),
        "counts": counts.flatten().tolist(),
        "metrics": [rounded(value) for value in metrics.values()],
        "class": int(one_class),
        "precision_recall_f1": [rounded(value) for value in each],
    }


def random_counts(classes, rows):
    """Targets of uneven classes, predicted with some skill."""
    target = random.choice(classes, rows, p=random.dirichlet(np.full(classes, 0.7)))
    guess = random.choice(classes, rows, p=random.dirichlet(np.full(classes, 0.7)))
    predicted = np.where(random.random(rows) < random.random(), target, guess)
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (target, predicted), 1)
    return counts


def cases():
    for classes in range(1, 21):
        yield "empty", np.zeros((classes, classes))
    for classes in (2, 3, 7, 20):
        full = random_counts(classes, 200)
        eye = np.eye(classes, dtype=np.int64)
        for only in (0, 1, classes - 1):
            one = np.zeros_like(full)
            one[only] = full.sum(axis=0)
            yield "one target class", one
            yield "one predicted class", one.T
            yield "one class right", np.outer(eye[only], eye[only]) * 9
            without = full.copy()
            without[:, only] = 0
            yield "never predicted", without
            yield "never a target", without.T
            without[only] = 0
            yield "never at all", without
        for target in range(min(classes, 3)):
            for predicted in range(min(classes, 3)):
                yield "one row", np.outer(eye[target], eye[predicted])
        yield "all right", eye * full
        yield "all wrong", full * (1 - eye)
        yield "shifted", np.roll(eye * 7, 1, axis=1)
        yield "no skill", np.full((classes, classes), 5)
    for _ in range(2000):
        classes = int(min(2 + random.geometric(0.4) - 1, 20))
        yield "random", random_counts(classes, int(random.integers(1, 400)))
    for classes in range(2, 21):
        yield "random", random_counts(classes, 1000)
    for _ in range(120):
        classes = int(random.integers(2, 6))
        scale = 10.0 ** random.uniform(5, 15)
        counts = random_counts(classes, int(random.integers(5, 100))) * random.random(
            (classes, classes)
        )
        yield "large", np.floor(counts * scale / 100)


def main():
    lines = []
    for number, (name, counts) in enumerate(cases()):
        lines.append(json.dumps(case(name, counts, number % len(counts)), separators=(",", ":")))
    path = Path(__file__).with_name("classification.json")
    head = f'{{"scikit-learn":"{sklearn.__version__}","metrics":{json.dumps(METRICS)},"cases":[\n'
    path.write_text(head + ",\n".join(lines) + "\n]}\n")
    print(len(lines), "cases", path.stat().st_size, "bytes")


main()
