"""Makes the reference numbers of tests/it/model and tests/it/train with transformers.

    python make_reference.py MINILM_FOLDER REVIEWS_TSV

Needs torch 2.4.0 and transformers 4.57.6. Writes, beside itself:
  tiny/               a random two-layer BERT, as transformers saves it
  rows.json           texts, pairs and labels that the numbers belong to
  tiny.safetensors    outputs and a training run of the tiny model
  minilm.safetensors  the same of all-MiniLM-L6-v2, weights by samples
"""
import json, math, os, sys

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizerFast

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS, BATCH, MAX_LENGTH = 20, 8, 32
LR, WARMUP, CLIP, DECAY = 5e-4, 4, 1.0, 0.01
torch.set_num_threads(2)


def make_tiny(texts):
    words = {}
    for text in texts:
        for word in text.lower().split():
            if word.isalpha() and word.isascii():
                words[word] = words.get(word, 0) + 1
    frequent = sorted(words, key=lambda w: (-words[w], w))[:150]
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    marks = list("!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~0123456789")
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + marks + letters
    vocab += ["##" + letter for letter in letters] + [w for w in frequent if len(w) > 1]
    folder = os.path.join(HERE, "tiny")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as f:
        f.write("".join(token + "\n" for token in vocab))
    # A layer_norm_eps and a type_vocab_size that no code has as its default.
    config = BertConfig(
        vocab_size=len(vocab), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=64, type_vocab_size=3,
        layer_norm_eps=1e-5, initializer_range=0.2, hidden_act="gelu",
    )
    torch.manual_seed(1)
    BertModel(config).save_pretrained(folder)
    tokenizer = BertTokenizerFast(vocab_file=os.path.join(folder, "vocab.txt"))
    tokenizer.save_pretrained(folder)
    os.remove(os.path.join(folder, "tokenizer.json"))
    return folder


def outputs(folder, rows, labels):
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    torch.manual_seed(2)
    model = BertForSequenceClassification.from_pretrained(folder, num_labels=labels).eval()
    # Mixed lengths, single texts and pairs, in one padded batch.
    texts = [(a, b) if b else a for a, b, _ in rows[:8]]
    encoded = [tokenizer(*([t] if isinstance(t, str) else t), truncation=True, max_length=MAX_LENGTH) for t in texts]
    batch = tokenizer.pad(encoded, return_tensors="pt")
    with torch.no_grad():
        out = model.bert(**batch, output_hidden_states=True)
        logits = model(**batch).logits
    result = {
        "input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"],
        "token_type_ids": batch["token_type_ids"], "pooled": out.pooler_output, "logits": logits,
        "classifier.weight": model.classifier.weight.detach().clone(),
        "classifier.bias": model.classifier.bias.detach().clone(),
    }
    for i, hidden in enumerate(out.hidden_states):
        if folder.endswith("tiny") or i == len(out.hidden_states) - 1:
            result[f"hidden.{i}"] = hidden
    return tokenizer, model, result


def train(tokenizer, model, rows, result, sampled):
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for layer in model.bert.encoder.layer:
        layer.attention.self.dropout_prob = 0.0
    model.train()
    named = list(model.named_parameters())
    groups = [
        {"params": [p for _, p in named if p.dim() >= 2], "weight_decay": DECAY},
        {"params": [p for _, p in named if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.999), eps=1e-8)
    factor = lambda s: s / WARMUP if s < WARMUP else (STEPS - s) / (STEPS - WARMUP)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    losses, norms = [], []
    for step in range(STEPS):
        part = rows[step * BATCH:(step + 1) * BATCH]
        encoded = [tokenizer(*([a, b] if b else [a]), truncation=True, max_length=MAX_LENGTH) for a, b, _ in part]
        batch = tokenizer.pad(encoded, return_tensors="pt")
        loss = model(**batch, labels=torch.tensor([int(label) for _, _, label in part])).loss
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)))
        losses.append(float(loss))
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    result["losses"] = torch.tensor(losses, dtype=torch.float64)
    result["grad_norms"] = torch.tensor(norms, dtype=torch.float64)
    for name, p in named:
        flat = p.detach().flatten()
        # All numbers of a small model; of a large one, 64 spread over each tensor.
        keep = torch.arange(0, len(flat), max(1, math.ceil(len(flat) / 64))) if sampled else slice(None)
        result["after." + name] = flat[keep].clone()


def main():
    minilm, reviews = sys.argv[1:]
    lines = open(reviews, encoding="utf-8", newline="\n").read().split("\n")[1:-1]
    sentences = [line.split("\t") for line in lines]
    rows = []
    for i in range(STEPS * BATCH):
        text, label, _ = sentences[i * 7 % len(sentences)]
        # Every third row is a pair.
        pair = sentences[i * 11 % len(sentences)][0] if i % 3 == 2 else None
        rows.append((text, pair, label))
    with open(os.path.join(HERE, "rows.json"), "w", encoding="utf-8") as f:
        json.dump([{"text": t, "pair": p, "label": l} for t, p, l in rows], f, ensure_ascii=False, indent=0)
        f.write("\n")
    for name, folder in [("tiny", make_tiny([s[0] for s in sentences])), ("minilm", minilm)]:
        tokenizer, model, result = outputs(folder, rows, 2)
        train(tokenizer, model, rows, result, sampled=name == "minilm")
        save_file({k: v.contiguous() for k, v in result.items()}, os.path.join(HERE, name + ".safetensors"))
        print(name, result["losses"][:3].tolist(), "...", result["losses"][-3:].tolist())


main()
