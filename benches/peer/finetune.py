"""transformers' half of `cargo xtask compare`: fits a model with Trainer, as Hugging Face's
example scripts do, and evaluates the last epoch's weights on the test file.

    python finetune.py text_classification --model DIR --train FILE --test FILE ...

The first word is a recipe of bertfit, and the flags are the recipe's, with the same meaning
and the same defaults. Prints one JSON object whose keys are those of the recipe's results.
"""

import argparse
import json
import os

os.environ["HF_HUB_OFFLINE"] = "1"

import question_answering
import text_classification
import token_classification
import torch
from transformers import AutoTokenizer, Trainer, TrainingArguments, set_seed

TASKS = {
    "text_classification": text_classification,
    "token_classification": token_classification,
    "question_answering": question_answering,
}


def flags():
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--model", required=True)
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--max-steps", type=int, default=-1)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--eval-batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-5)
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--warmup", type=float, default=0.1, help="share of all steps")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--device", choices=["auto", "cpu"], default="auto")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--text-column", default="text")
    parser.add_argument("--pair-column")
    parser.add_argument("--label-column", default="label")
    parser.add_argument("--no-header", action="store_true")
    parser.add_argument("--problem-type", default="single_label_classification")
    parser.add_argument("--doc-stride", type=int, default=128)
    return parser.parse_args()


def main():
    args = flags()
    set_seed(args.seed)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    task = TASKS[args.task].Task(args, tokenizer)
    trainer = Trainer(
        task.model,
        TrainingArguments(
            "target/compare/peer",
            num_train_epochs=args.epochs,
            max_steps=args.max_steps,
            per_device_train_batch_size=args.batch_size,
            per_device_eval_batch_size=args.eval_batch_size,
            learning_rate=args.lr,
            lr_scheduler_type="linear",
            warmup_ratio=args.warmup,
            weight_decay=args.weight_decay,
            max_grad_norm=1.0,
            optim="adamw_torch_fused",
            group_by_length=True,
            bf16=args.precision == "bf16",
            use_cpu=args.device == "cpu" or not torch.cuda.is_available(),
            seed=args.seed,
            save_strategy="no",
            eval_strategy="no",
            logging_steps=1000,
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=task.train,
        data_collator=task.collator,
    )
    results = trainer.train().metrics
    # With it, predictions come in the order of lengths, too, and not in that of the rows.
    trainer.args.group_by_length = False
    outputs = trainer.predict(task.test)
    metrics = task.metrics(outputs.predictions, outputs.label_ids)
    results.update({f"test_{name}": float(value) for name, value in metrics.items()})
    results["test_samples_per_second"] = outputs.metrics["test_samples_per_second"]
    print(json.dumps(results))


if __name__ == "__main__":
    main()
