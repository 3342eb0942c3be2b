"""Texts or pairs of texts to a class, several classes or a number, as `run_glue.py` and
`run_classification.py` do it."""

from files import columns
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from transformers import AutoModelForSequenceClassification, DataCollatorWithPadding

MULTI = "multi_label_classification"
REGRESSION = "regression"


class Task:
    def __init__(self, args, tokenizer):
        self.problem_type = args.problem_type
        self.args, self.tokenizer = args, tokenizer
        names = [args.text_column, args.label_column]
        names += [args.pair_column] if args.pair_column else []
        train, test = (columns(file, names, not args.no_header) for file in (args.train, args.test))
        self.classes = sorted({name for label in train[1] for name in self.names(label)})
        self.train, self.test = self.rows(*train), self.rows(*test)
        self.collator = DataCollatorWithPadding(tokenizer)
        self.model = AutoModelForSequenceClassification.from_pretrained(
            args.model,
            num_labels=1 if self.problem_type == REGRESSION else len(self.classes),
            problem_type=self.problem_type,
        )

    def names(self, label):
        return label.split(",") if self.problem_type == MULTI else [label]

    def rows(self, texts, labels, *pairs):
        encoded = self.tokenizer(
            texts, *pairs, truncation=True, max_length=self.args.max_length
        )
        return [
            {**{name: values[row] for name, values in encoded.items()}, "labels": self.target(label)}
            for row, label in enumerate(labels)
        ]

    def target(self, label):
        if self.problem_type == REGRESSION:
            return float(label)
        ids = [self.classes.index(name) for name in self.names(label)]
        if self.problem_type == MULTI:
            return [float(place in ids) for place in range(len(self.classes))]
        return ids[0]

    def metrics(self, logits, labels):
        if self.problem_type == REGRESSION:
            scores = logits[:, 0]
            return {
                "spearmanr": spearmanr(scores, labels).statistic,
                "pearson": pearsonr(scores, labels).statistic,
            }
        if self.problem_type == MULTI:
            # A probability above a half.
            chosen = (logits > 0).astype(int)
            return {
                "f1_micro": f1_score(labels, chosen, average="micro", zero_division=0),
                "f1_macro": f1_score(labels, chosen, average="macro", zero_division=0),
            }
        chosen = logits.argmax(1)
        metrics = {
            "accuracy": accuracy_score(labels, chosen),
            "f1_macro": f1_score(labels, chosen, average="macro", zero_division=0),
            "matthews_correlation": matthews_corrcoef(labels, chosen),
        }
        if len(self.classes) == 2:
            metrics["f1"] = f1_score(labels, chosen, zero_division=0)
        return metrics
