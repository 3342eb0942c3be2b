"""Writes saved_by_5/, a classifier as transformers 5.24.0 saves it, and saved_by_5.json, its logits.

    python make_saved_by_5.py

Run it after make_reference.py. The folder has no vocab.txt. The head is random, for three classes
whose names are left to transformers; the texts are those of rows.json. Needs transformers 5.24.0
and a torch that it takes; the numbers were made with torch 2.15.0.
"""
import json, pathlib

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

HERE = pathlib.Path(__file__).parent
FOLDER = HERE / "saved_by_5"
torch.manual_seed(3)
model = AutoModelForSequenceClassification.from_pretrained(HERE / "tiny", num_labels=3)
model.save_pretrained(FOLDER)
AutoTokenizer.from_pretrained(HERE / "tiny").save_pretrained(FOLDER)

model = AutoModelForSequenceClassification.from_pretrained(FOLDER).eval()
tokenizer = AutoTokenizer.from_pretrained(FOLDER)
numbers = []
for row in json.loads((HERE / "rows.json").read_text(encoding="utf-8")):
    pair = [row["pair"]] if row["pair"] is not None else []
    inputs = tokenizer(row["text"], *pair, truncation=True, max_length=64, return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits[0].tolist()
    numbers.append({"input_ids": inputs["input_ids"][0].tolist(), "logits": logits})
(HERE / "saved_by_5.json").write_text(json.dumps(numbers) + "\n", encoding="utf-8")
