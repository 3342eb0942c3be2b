"""Makes the reference numbers of long texts, for tests/it/task/long_texts.rs and
tests/it/encode/long_text.rs.

    python make_long_texts.py

`long_texts.json.gz` has what transformers' BertTokenizerFast makes of texts that are too long: by
`truncation_side`, by `stride` with `return_overflowing_tokens`, and, for head and tail, by the
slices of Sun et al. 2019. `long_texts_<task>.safetensors` has the inputs of one batch in windows,
the pooled logits, the loss and all gradients; each window goes through the model by itself. Needs
torch 2.4.0 and transformers 4.57.6; starts from ../model/tiny and the folders beside it.
"""
import gzip, json, math, os

import torch
from safetensors.torch import save_file
from transformers import AutoModelForSequenceClassification, BertTokenizerFast

HERE = os.path.dirname(os.path.abspath(__file__))
TINY = os.path.join(HERE, "..", "model", "tiny")
torch.set_num_threads(2)
right = BertTokenizerFast.from_pretrained(TINY)
left = BertTokenizerFast.from_pretrained(TINY, truncation_side="left")

LONG = (
    "the film was great but not as good as the one with that unbelievably bad phone . i like it , "
    "and they really had time for food ! it would be the best movie , if there were no place for "
    "xylophones ; we can love how it just was ."
)
MIDDLE = "this is very good food , but the service was bad and i will not be there again"
SHORT = "sad , dull film ."
TEXTS = [
    (LONG, None),
    (SHORT, None),
    (MIDDLE, None),
    ("", None),
    (MIDDLE, SHORT),
    (SHORT, LONG),
    (LONG, MIDDLE),
]


def row(encoding):
    return {
        "input_ids": encoding.ids,
        "token_type_ids": encoding.type_ids,
        "offsets": [list(place) for place in encoding.offsets],
    }


def cut(tokenizer, text, pair, max_length, truncation, **windows):
    """The rows, or none where transformers refuses the text."""
    try:
        encoded = tokenizer(text, pair, max_length=max_length, truncation=truncation, **windows)
    except Exception:
        return None
    rows = encoded.encodings
    return None if any(len(one.ids) > max_length for one in rows) else [row(one) for one in rows]


def head_and_tail(text, max_length, share):
    """The paper's: the first tokens and the last ones; of 510, 128 and 382 by a quarter."""
    whole = right(text).encodings[0]
    tokens = list(zip(whole.ids, whole.type_ids, whole.offsets))
    inner, room = tokens[1:-1], max_length - 2
    if len(inner) > room:
        head = math.floor(share * room + 0.5)
        inner = inner[:head] + inner[len(inner) - (room - head) :]
    kept = [tokens[0]] + inner + [tokens[-1]]
    names = ["input_ids", "token_type_ids", "offsets"]
    return [dict(zip(names, map(list, zip(*kept))))]


def encodings():
    cases = []
    for text, pair in TEXTS:
        for max_length in [8, 13, 24, 64]:
            common = {"text": text, "pair": pair, "max_length": max_length}
            for truncation in ["longest_first", "only_first", "only_second"]:
                if pair is None and truncation == "only_second":
                    continue
                for kind, tokenizer in [("head", right), ("tail", left)]:
                    rows = cut(tokenizer, text, pair, max_length, truncation)
                    cases.append({**common, "truncation": truncation, "kind": kind, "rows": rows})
                if pair is not None and truncation == "longest_first":
                    continue
                for stride in [0, 3, 5]:
                    windows = dict(stride=stride, return_overflowing_tokens=True)
                    rows = cut(right, text, pair, max_length, truncation, **windows)
                    case = {"truncation": truncation, "kind": "windows", "stride": stride}
                    cases.append({**common, **case, "rows": rows})
            if pair is None:
                for share in [0.25, 0.5]:
                    rows = head_and_tail(text, max_length, share)
                    case = {"truncation": "longest_first", "kind": "head_tail", "share": share}
                    cases.append({**common, **case, "rows": rows})
    paper = head_and_tail("good " * 600, 512, 0.25)[0]["offsets"][1:-1]
    assert [128, 382] == [sum(start < 5 * 200 for start, _ in paper), sum(start > 5 * 200 for start, _ in paper)]
    return cases


def windows(task, folder, labels, pool, loss_of):
    model = AutoModelForSequenceClassification.from_pretrained(os.path.join(HERE, folder))
    model.eval()
    texts = [LONG, SHORT, MIDDLE]
    encoded = right(texts, max_length=16, truncation=True, stride=5, return_overflowing_tokens=True)
    of_text = encoded.pop("overflow_to_sample_mapping")
    logits = [[] for _ in texts]
    for window, text in enumerate(of_text):
        # Without padding, each by itself.
        inputs = {name: torch.tensor([encoded[name][window]]) for name in encoded}
        logits[text].append(model(**inputs).logits[0])
    pooled = torch.stack([pool(torch.stack(of_one)) for of_one in logits])
    loss = loss_of(pooled, torch.tensor(labels))
    loss.backward()
    tensors = dict(right.pad(encoded, return_tensors="pt"))
    tensors |= {"logits": pooled.detach(), "loss": loss.detach().reshape(1)}
    for name, weight in model.named_parameters():
        tensors["gradient." + name] = weight.grad
    path = os.path.join(HERE, f"long_texts_{task}.safetensors")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    os.chmod(path, 0o644)


def mean(logits):
    return logits.mean(0)


def highest(logits):
    return logits.max(0).values


nn = torch.nn.functional
windows("classes", "multi_label", [2, 0, 1], mean, nn.cross_entropy)
windows(
    "labels", "multi_label", [[0.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 1.0]], highest,
    nn.binary_cross_entropy_with_logits,
)
windows("numbers", "regression", [[0.5], [-1.0], [3.25]], mean, nn.mse_loss)
text = json.dumps({"texts": [LONG, SHORT, MIDDLE], "cases": encodings()}, ensure_ascii=False)
with open(os.path.join(HERE, "long_texts.json.gz"), "wb") as file:
    file.write(gzip.compress(text.encode(), mtime=0))
