"""transformers' half of `cargo xtask race`: one contest, measured by itself, as one JSON
object on the last line. The words are those of `main.rs`, which is the other half."""

import contextlib
import csv
import gzip
import json
import lzma
import os
import resource
import statistics
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "true"

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    pipeline,
    set_seed,
)

SHAPES = {
    "minilm": dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536),
    "base": {},
}
WARM_UP, STEPS = 2, 6
# Where bertfit is, too, unless it is told otherwise.
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def rows_of(file, limit):
    """The first rows of a table, as dictionaries."""
    opened = {"gz": gzip.open, "xz": lzma.open}.get(file.rsplit(".", 1)[-1], open)
    with opened(file, "rt", encoding="utf-8", newline="\n") as lines:
        reader = csv.DictReader(
            (line.rstrip("\n") for line in lines), delimiter="\t", quoting=csv.QUOTE_NONE
        )
        return [row for row, _ in zip(reader, range(limit))]


def texts_of(file, limit):
    column = "text" if "imdb" in file else "sentence"
    return [row[column] for row in rows_of(file, limit)]


def speed_on(texts, run):
    """Rows a second over all texts, after a first batch that is not counted."""
    run(texts[:32])
    start = time.perf_counter()
    run(texts)
    return {"rows_per_second": len(texts) / (time.perf_counter() - start)}


def step(shape, rows, length, precision):
    rows, length = int(rows), int(length)
    torch.manual_seed(0)
    model = BertForSequenceClassification._from_config(
        BertConfig(num_labels=2, **SHAPES[shape]), attn_implementation="sdpa"
    )
    model.to(DEVICE).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, fused=True)
    autocast = contextlib.nullcontext()
    if precision == "bf16":
        autocast = torch.autocast(DEVICE, dtype=torch.bfloat16)
    mask = torch.ones(rows, length, dtype=torch.long).to(DEVICE)
    seconds = []
    for _ in range(WARM_UP + STEPS):
        ids = torch.randint(5, 30000, (rows, length))
        labels = torch.randint(0, 2, (rows,))
        start = time.perf_counter()
        ids, labels = ids.to(DEVICE), labels.to(DEVICE)
        with autocast:
            loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        seconds.append(time.perf_counter() - start)
    return {"rows_per_second": rows / statistics.median(seconds[WARM_UP:])}


def fit(model, train, dev, rows, precision, mode, seed):
    set_seed(int(seed))
    tokenizer = AutoTokenizer.from_pretrained(model)

    def encoded(rows):
        inputs = tokenizer([row["sentence"] for row in rows], truncation=True, max_length=128)
        return [
            {"input_ids": ids, "attention_mask": mask, "labels": int(row["label"])}
            for ids, mask, row in zip(inputs["input_ids"], inputs["attention_mask"], rows)
        ]

    train, dev = encoded(rows_of(train, int(rows))), encoded(rows_of(dev, 10**9))
    classifier = AutoModelForSequenceClassification.from_pretrained(model, num_labels=2)
    # transformers 5 has other names.
    fifth = "train_sampling_strategy" in TrainingArguments.__dataclass_fields__
    tuned = {"warmup_steps" if fifth else "warmup_ratio": 0.06}
    if mode == "grouped":
        tuned["optim"] = "adamw_torch_fused"
        tuned |= {"train_sampling_strategy": "group_by_length"} if fifth else {"group_by_length": True}
    arguments = TrainingArguments(
        "/tmp/peer",
        per_device_train_batch_size=32,
        per_device_eval_batch_size=64,
        learning_rate=5e-5,
        num_train_epochs=1,
        weight_decay=0.01,
        logging_steps=50,
        save_strategy="no",
        report_to=[],
        use_cpu=DEVICE == "cpu",
        seed=int(seed),
        disable_tqdm=True,
        bf16=precision == "bf16",
        **tuned,
    )
    trainer = Trainer(
        classifier,
        arguments,
        train_dataset=train,
        eval_dataset=dev,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=lambda p: {
            "accuracy": float((p.predictions.argmax(1) == p.label_ids).mean())
        },
    )
    metrics = trainer.train().metrics
    return {
        "rows_per_second": metrics["train_samples_per_second"],
        "accuracy": trainer.evaluate()["eval_accuracy"],
    }


def predict(model, file, rows, length, precision):
    texts = texts_of(file, int(rows))
    kind = {"torch_dtype": torch.bfloat16} if precision == "bf16" else {}
    classify = pipeline(
        "text-classification",
        model=AutoModelForSequenceClassification.from_pretrained(model, num_labels=2, **kind),
        tokenizer=AutoTokenizer.from_pretrained(model),
        device=DEVICE,
    )
    settings = {"batch_size": 32, "truncation": True, "max_length": int(length)}
    return speed_on(texts, lambda texts: classify(texts, **settings))


def tokenize(model, file, rows):
    texts = texts_of(file, int(rows))
    tokenizer = AutoTokenizer.from_pretrained(model)._tokenizer
    tokenizer.enable_truncation(512)
    return speed_on(texts, tokenizer.encode_batch)


def exact_with_onednn():
    """Whether "medium" gives float32 products here; with AMX they are bfloat16 inside."""
    numbers = torch.sin(0.734551 * torch.arange(256 * 256, dtype=torch.float64)).view(256, 256)
    torch.set_float32_matmul_precision("medium")
    return float((numbers.float() @ numbers.float() - numbers @ numbers).abs().max()) < 1e-4


def products():
    """The limits: GFLOP/s of the products of a layer, forward and backward, of BERT-base over
    2048 tokens and of MiniLM over as many as a batch of 32 rows of SST-2 has."""
    torch.set_float32_matmul_precision("medium" if exact_with_onednn() else "highest")
    figures = {}
    kinds = [("f32", torch.float32)]
    # Without such units libtorch takes minutes.
    if "avx512_bf16" in open("/proc/cpuinfo").read():
        kinds.append(("bf16", torch.bfloat16))
    for shape, tokens, size in (("base", 2048, 768), ("minilm", 448, 384)):
        for name, kind in kinds:
            operations, seconds = 0, 0.0
            for count, inputs, outputs in ((4, size, size), (1, size, 4 * size), (1, 4 * size, size)):
                x = torch.randn(tokens, inputs, dtype=kind)
                weight = torch.randn(outputs, inputs, dtype=kind)
                gradient = torch.randn(tokens, outputs, dtype=kind)
                for a, b in ((x, weight.t()), (gradient, weight), (gradient.t(), x)):
                    times = []
                    for _ in range(12):
                        start = time.perf_counter()
                        a @ b
                        times.append(time.perf_counter() - start)
                    operations += count * 2 * tokens * inputs * outputs
                    seconds += count * statistics.median(times[2:])
            figures[f"{shape} {name}"] = operations / seconds / 1e9
    return figures


if __name__ == "__main__":
    torch.set_num_threads(os.cpu_count())
    contest = {"step": step, "fit": fit, "predict": predict, "tokenize": tokenize, "products": products}
    figures = contest[sys.argv[1]](*sys.argv[2:])
    figures["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures))
