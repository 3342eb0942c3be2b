"""Loads a folder that bertfit has saved with sentence-transformers, and compares vectors.

    python check_embeddings.py FOLDER ROWS_JSON

ROWS_JSON is a list of {"text", "embedding"}. Fails on a difference above 1e-5, on any warning
while loading, and where transformers finds weights absent or too many. Needs transformers 4.57.6 or
5.24.0 and sentence-transformers 5.7.0.
"""
import json, logging, sys, warnings

import torch
import transformers
from sentence_transformers import SentenceTransformer

warnings.simplefilter("error")
said = []


class Collect(logging.Handler):
    def emit(self, record):
        said.append(record.getMessage())


for name in ("transformers", "sentence_transformers"):
    logging.getLogger(name).addHandler(Collect(level=logging.WARNING))
folder, rows = sys.argv[1], json.load(open(sys.argv[2], encoding="utf-8"))
model = SentenceTransformer(folder, device="cpu")
_, info = transformers.AutoModel.from_pretrained(folder, output_loading_info=True)
assert not said, said
assert not any(info.values()), info
# One text at a time, and all together.
theirs = torch.stack([torch.tensor(model.encode(row["text"])) for row in rows])
ours = torch.tensor([row["embedding"] for row in rows])
largest = float((theirs - ours).abs().max())
together = torch.tensor(model.encode([row["text"] for row in rows]))
largest = max(largest, float((together - ours).abs().max()))
assert rows and largest <= 1e-5, largest
print(f"{len(rows)} rows, largest difference {largest:.1e}")
