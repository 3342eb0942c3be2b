"""Loads a folder that bertfit has saved with transformers, and compares what it writes.

    python check_generate.py FOLDER AUTO_CLASS ROWS_JSON

ROWS_JSON is {"texts", "settings", "written"}: texts, settings of `generate`, and what bertfit has
written with them. The rest is as the folder says. Needs transformers 4.57.6 or 5.24.0.
"""
import json, sys

import transformers

folder, auto_class, rows = sys.argv[1], sys.argv[2], json.load(open(sys.argv[3], encoding="utf-8"))
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
model = getattr(transformers, auto_class).from_pretrained(folder).eval()
inputs = tokenizer(rows["texts"], return_tensors="pt", padding=True)
ids = model.generate(**inputs, **rows["settings"])
written = tokenizer.batch_decode(ids, skip_special_tokens=True)
assert written == rows["written"], (written, rows["written"])
