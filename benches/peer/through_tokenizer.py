"""What a tokenizer alone costs in BLEU: texts that were split into tokens and put together again.

    python through_tokenizer.py MODEL ROWS_TSV PREDICTIONS_JSONL

ROWS_TSV has a text and its label on each line, PREDICTIONS_JSONL what was written about each
(`predictions.jsonl` of the recipe `text_generation`). Needs transformers 4.57.6 and sacrebleu 2.6.0.
"""
import json, sys

import sacrebleu
from transformers import AutoTokenizer

folder, table, predictions = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(folder)
with open(table, encoding="utf-8") as lines:
    texts, labels = zip(*(line.rstrip("\n").split("\t") for line in lines))
with open(predictions, encoding="utf-8") as lines:
    written = [json.loads(line)["text"] for line in lines]


def through(texts):
    ids = (tokenizer(text)["input_ids"] for text in texts)
    return [tokenizer.decode(row, skip_special_tokens=True) for row in ids]


def bleu(texts, labels):
    return round(sacrebleu.corpus_bleu(texts, [labels], force=True).score, 2)


for name, answers in [("as they are", labels), ("through the tokenizer", through(labels))]:
    results = {
        "written": bleu(written, answers),
        "copies": bleu(texts, answers),
        "copies through the tokenizer": bleu(through(texts), answers),
        "labels through the tokenizer": bleu(through(labels), answers),
    }
    print(f"labels {name}: {json.dumps(results)}")
