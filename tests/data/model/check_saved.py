"""Loads a folder that bertfit has saved with transformers, and compares.

    python check_saved.py FOLDER ROWS_JSON

ROWS_JSON is a list of {"text", "pair", "input_ids", "logits", "label"}. Fails on other ids, on a
difference above 1e-5, on another label, and on any warning while loading. Needs transformers
4.57.6 or 5.24.0.
"""
import json, logging, sys

import torch
import transformers
from transformers import AutoModelForSequenceClassification, AutoTokenizer

warnings = []


class Collect(logging.Handler):
    def emit(self, record):
        warnings.append(record.getMessage())


logger = transformers.logging.get_logger("transformers")
logger.addHandler(Collect(level=logging.WARNING))
folder, rows = sys.argv[1], json.load(open(sys.argv[2], encoding="utf-8"))
model, info = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
model = model.eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
assert not warnings, warnings
assert not any(info.values()), info
assert model.config.problem_type == "single_label_classification"
max_length = min(128, model.config.max_position_embeddings)
largest = 0.0
for row in rows:
    pair = [row["pair"]] if row["pair"] is not None else []
    inputs = tokenizer(row["text"], *pair, return_tensors="pt", truncation=True, max_length=max_length)
    with torch.no_grad():
        logits = model(**inputs).logits[0]
    largest = max(largest, float((logits - torch.tensor(row["logits"])).abs().max()))
    assert inputs["input_ids"][0].tolist() == row["input_ids"], row
    label = model.config.id2label[int(logits.argmax())]
    assert label == row["label"], (label, row)
assert largest <= 1e-5, largest
print(f"{len(rows)} rows, largest difference {largest:.1e}")
