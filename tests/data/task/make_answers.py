"""Makes answers.json: logits of windows, and the answers that transformers' example scripts
choose by them.

    python make_answers.py

`chosen` is postprocess_qa_predictions of examples/pytorch/question-answering/utils_qa.py,
written again from what it does, for one question. Where there is no span the script puts in the
answer "empty" with logits of 0; it is marked by `fake`.
"""
import json, os, random

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
CONTEXT = "good film 💙 bad film , good food and good film again"


def chosen(windows, negatives, n_best_size, max_answer_length, threshold):
    prelim, min_null = [], None
    for window in windows:
        offsets = window["offsets"]
        start_logits = np.array(window["start"], dtype=np.float32)
        end_logits = np.array(window["end"], dtype=np.float32)
        null_score = start_logits[0] + end_logits[0]
        if min_null is None or min_null["score"] > null_score:
            min_null = {"offsets": (0, 0), "score": null_score,
                        "start_logit": start_logits[0], "end_logit": end_logits[0]}
        for start in np.argsort(start_logits)[-1 : -n_best_size - 1 : -1].tolist():
            for end in np.argsort(end_logits)[-1 : -n_best_size - 1 : -1].tolist():
                if offsets[start] is None or offsets[end] is None:
                    continue
                if end < start or end - start + 1 > max_answer_length:
                    continue
                prelim.append({"offsets": (offsets[start][0], offsets[end][1]),
                               "score": start_logits[start] + end_logits[end],
                               "start_logit": start_logits[start], "end_logit": end_logits[end]})
    if negatives:
        prelim.append(min_null)
    predictions = sorted(prelim, key=lambda p: p["score"], reverse=True)[:n_best_size]
    if negatives and not any(p["offsets"] == (0, 0) for p in predictions):
        predictions.append(min_null)
    for prediction in predictions:
        start, end = prediction["offsets"]
        prediction["text"] = CONTEXT[start:end]
    fake = len(predictions) == 0 or (len(predictions) == 1 and predictions[0]["text"] == "")
    if fake:
        predictions.insert(0, {"text": "empty", "start_logit": 0.0, "end_logit": 0.0, "score": 0.0})
    scores = np.array([prediction["score"] for prediction in predictions])
    shares = np.exp(scores - np.max(scores))
    shares = shares / shares.sum()
    listed = [
        {"start_logit": float(p["start_logit"]), "end_logit": float(p["end_logit"]),
         "text": p["text"], "probability": float(share)}
        for p, share in zip(predictions, shares)
    ]
    if not negatives:
        return {"fake": fake, "n_best": listed, "answer": predictions[0]["text"], "odds": None}
    best = next(p for p in predictions if p["text"] != "")
    odds = float(min_null["score"] - best["start_logit"] - best["end_logit"])
    answer = "" if odds > threshold else best["text"]
    return {"fake": fake, "n_best": listed, "answer": answer, "odds": odds}


draw = random.Random(5)
words, place = [], 0
for word in CONTEXT.split(" "):
    words.append([place, place + len(word)])
    place += len(word) + 1
cases = []
for case in range(200):
    room, shared = draw.choice([(len(words), 0), (5, 2), (3, 1)])
    windows, first = [], 0
    while True:
        # [CLS] two tokens of a question [SEP] a part of the context [SEP]
        offsets = [None] * 4 + words[first : first + room] + [None]
        logits = lambda: [round(draw.uniform(-4, 4), 4) for _ in offsets]
        windows.append({"offsets": offsets, "start": logits(), "end": logits()})
        if first + room >= len(words):
            break
        first += room - shared
    settings = {
        "negatives": draw.random() < 0.6, "n_best_size": draw.choice([1, 3, 20]),
        "max_answer_length": draw.choice([1, 3, 30]), "threshold": draw.choice([0.0, -3.0, 2.5]),
    }
    cases.append({"windows": windows, **settings, **chosen(windows, **settings)})
assert any(case["fake"] for case in cases)
with open(os.path.join(HERE, "answers.json"), "w") as file:
    file.write("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")
