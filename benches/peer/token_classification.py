"""Words to tags, as `run_ner.py` does it: the first token of a word stands for the word."""

from files import sentences
from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score
from transformers import AutoModelForTokenClassification, DataCollatorForTokenClassification

NO_LABEL = -100  # what the loss passes over


class Task:
    def __init__(self, args, tokenizer):
        self.args, self.tokenizer = args, tokenizer
        train, test = sentences(args.train), sentences(args.test)
        self.tags = sorted({tag for _, tags in train for tag in tags})
        self.train, self.test = self.rows(train), self.rows(test)
        self.collator = DataCollatorForTokenClassification(tokenizer)
        self.model = AutoModelForTokenClassification.from_pretrained(
            args.model, num_labels=len(self.tags)
        )

    def rows(self, all_sentences):
        ids = {tag: place for place, tag in enumerate(self.tags)}
        rows = []
        for words, tags in all_sentences:
            row = self.tokenizer(
                words, is_split_into_words=True, truncation=True, max_length=self.args.max_length
            )
            of_words = row.word_ids()
            labels = [
                NO_LABEL if word is None or word == before else ids[tags[word]]
                for before, word in zip([None, *of_words], of_words)
            ]
            rows.append({**row, "labels": labels})
        return rows

    def metrics(self, logits, labels):
        gold, chosen = (
            [
                [self.tags[tag] for tag, label in zip(row, of_row) if label != NO_LABEL]
                for row, of_row in zip(tags, labels)
            ]
            for tags in (labels, logits.argmax(2))
        )
        return {
            "f1": f1_score(gold, chosen),
            "precision": precision_score(gold, chosen),
            "recall": recall_score(gold, chosen),
            "accuracy": accuracy_score(gold, chosen),
        }
