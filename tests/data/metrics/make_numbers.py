"""Makes numbers.json with scikit-learn and SciPy: several classes a row, numbers, and areas
under the ROC curve.

    python make_numbers.py
"""
import json, os, random, warnings

import numpy as np
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, mean_squared_error, precision_recall_fscore_support, roc_auc_score

HERE = os.path.dirname(os.path.abspath(__file__))
warnings.simplefilter("ignore")
draw = random.Random(11)
multi_label, regression, roc = [], [], []
for _ in range(1000):
    classes, rows = draw.randrange(1, 6), draw.randrange(1, 12)
    share = draw.choice([0.05, 0.3, 0.5, 0.9])
    target = [[int(draw.random() < share) for _ in range(classes)] for _ in range(rows)]
    predicted = [[c if draw.random() < 0.7 else 1 - c for c in row] for row in target]
    a, b = np.array(target), np.array(predicted)
    if classes == 1:
        # One column is not taken for several classes.
        a, b = np.hstack([a, np.zeros_like(a)]), np.hstack([b, np.zeros_like(b)])
        target, predicted, classes = a.tolist(), b.tolist(), 2
    score = lambda average: [
        np.asarray(x).tolist()
        for x in precision_recall_fscore_support(a, b, average=average, zero_division=0)[:3]
    ]
    multi_label.append({
        "target": target, "predicted": predicted, "accuracy": accuracy_score(a, b),
        "micro": score("micro"), "macro": score("macro"), "of": score(None),
    })
for _ in range(1000):
    rows = draw.randrange(2, 40)
    # Few values, so that many are equal.
    few = draw.random() < 0.5
    number = lambda: draw.randrange(4) if few else round(64 * draw.gauss(0, 3)) / 64
    a = [number() for _ in range(rows)]
    b = [x * draw.choice([-1, 0.5, 1]) + draw.choice([0, number()]) for x in a]
    a, b = np.float32(a), np.float32(b)
    numbers = [pearsonr(a.astype(float), b.astype(float))[0], spearmanr(a, b)[0]]
    regression.append({
        "target": a.tolist(), "predicted": b.tolist(),
        "pearson": float(np.nan_to_num(numbers[0])), "spearman": float(np.nan_to_num(numbers[1])),
        "mse": float(mean_squared_error(a.astype(float), b.astype(float))),
    })
for _ in range(1000):
    rows = draw.randrange(2, 40)
    few = draw.random() < 0.5
    target = [int(draw.random() < 0.4) for _ in range(rows)]
    scores = [round(draw.random() + 0.3 * t, 1 if few else 6) for t in target]
    area = roc_auc_score(target, scores) if 0 < sum(target) < rows else None
    roc.append({"target": target, "scores": scores, "area": area})
with open(os.path.join(HERE, "numbers.json"), "w") as file:
    json.dump({"multi_label": multi_label, "regression": regression, "roc": roc}, file, separators=(",", ":"))
