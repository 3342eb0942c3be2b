"""Loads a folder that bertfit has saved with transformers, and compares logits.

    python check_logits.py FOLDER AUTO_CLASS ROWS_JSON

ROWS_JSON is a list of {"shape", "input_ids", "token_type_ids", "attention_mask", "logits"} and, for
a decoder, "decoder_input_ids": one example each, as flat lists. Fails on a difference above 1e-5 and on
any warning while loading, but for that of a pooler which an encoder has for itself alone. Needs
transformers 4.57.6 or 5.24.0.
"""
import json, logging, sys

import torch
import transformers

warnings = []


class Collect(logging.Handler):
    def emit(self, record):
        warnings.append(record.getMessage())


logger = transformers.logging.get_logger("transformers")
logger.addHandler(Collect(level=logging.WARNING))
folder, auto_class, rows = sys.argv[1], sys.argv[2], json.load(open(sys.argv[3], encoding="utf-8"))
model, info = getattr(transformers, auto_class).from_pretrained(folder, output_loading_info=True)
model = model.eval()
own_pooler = "The following encoder weights were not tied to the decoder ['bert/pooler']"
warnings = [warning for warning in warnings if warning != own_pooler]
assert not warnings, warnings
assert not any(info.values()), info
largest = 0.0
for row in rows:
    # The rows of a multiple choice have a dimension of their own.
    shape = [1] * auto_class.endswith("MultipleChoice") + row["shape"]
    names = ("input_ids", "token_type_ids", "attention_mask")
    inputs = {name: torch.tensor(row[name]).view(shape) for name in names}
    if row.get("decoder_input_ids"):
        inputs["decoder_input_ids"] = torch.tensor([row["decoder_input_ids"]])
    with torch.no_grad():
        output = model(**inputs)
    logits = torch.cat([tensor.flatten() for name, tensor in output.items() if name.endswith("logits")])
    largest = max(largest, float((logits - torch.tensor(row["logits"])).abs().max()))
assert rows and largest <= 1e-5, largest
print(f"{len(rows)} rows, largest difference {largest:.1e}")
