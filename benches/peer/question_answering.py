"""Questions to spans of their contexts, as `run_qa.py` does it for SQuAD 1.1: windows that
share `doc_stride` tokens, the 20 best first and last tokens of each, answers of 30 tokens at
most; exact match and F1 as Rajpurkar et al. (2016) define them, in percent."""

import re
import string
from collections import Counter

import numpy
from files import questions
from transformers import AutoModelForQuestionAnswering, DataCollatorWithPadding

N_BEST, LONGEST = 20, 30


class Task:
    def __init__(self, args, tokenizer):
        self.args, self.tokenizer = args, tokenizer
        self.questions = questions(args.test)
        self.train, self.test = [], []
        for _, question, context, answers in questions(args.train):
            answer = answers[0]
            first = answer["answer_start"]
            last = first + len(answer["text"]) - 1
            for row, offsets in self.windows(question, context):
                start, end = span(offsets, first, last)
                self.train.append({**row, "start_positions": start, "end_positions": end})
        # Of each test row: its question, and the characters of its tokens.
        self.places = []
        for number, (_, question, context, _) in enumerate(self.questions):
            for row, offsets in self.windows(question, context):
                self.test.append(row)
                self.places.append((number, offsets))
        self.collator = DataCollatorWithPadding(tokenizer)
        self.model = AutoModelForQuestionAnswering.from_pretrained(args.model)

    def windows(self, question, context):
        """Rows of a question, and the characters of their tokens, None outside the context."""
        encoded = self.tokenizer(
            question,
            context,
            truncation="only_second",
            max_length=self.args.max_length,
            stride=self.args.doc_stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        for number, offsets in enumerate(encoded["offset_mapping"]):
            inputs = ("input_ids", "token_type_ids", "attention_mask")
            parts = encoded.sequence_ids(number)
            yield (
                {name: encoded[name][number] for name in inputs},
                [place if part == 1 else None for place, part in zip(offsets, parts)],
            )

    def metrics(self, logits, _labels):
        best = {}
        for (number, offsets), *scores in zip(self.places, *logits):
            found = best_span(offsets, *(row[: len(offsets)] for row in scores))
            if found and (number not in best or found > best[number]):
                best[number] = found
        exact = f1 = 0.0
        for number, (_, _, context, answers) in enumerate(self.questions):
            _, start, end = best.get(number, (0.0, 0, 0))
            words = normalized(context[start:end])
            gold = [normalized(answer["text"]) for answer in answers]
            exact += max(words == answer for answer in gold)
            f1 += max(overlap(words, answer) for answer in gold)
        percent = 100.0 / len(self.questions)
        return {"exact_match": exact * percent, "f1": f1 * percent}


def span(offsets, first, last):
    """The tokens of the characters first to last; [CLS] if the window does not show them."""
    inside = [token for token, place in enumerate(offsets) if place]
    if not inside or offsets[inside[0]][0] > first or offsets[inside[-1]][1] <= last:
        return 0, 0
    start = max(token for token in inside if offsets[token][0] <= first)
    end = min(token for token in inside if offsets[token][1] > last)
    return start, end


def best_span(offsets, first, last):
    """Score, first character, and the character after the last, of a window's best answer."""
    spans = []
    firsts, lasts = (numpy.argsort(-scores)[:N_BEST] for scores in (first, last))
    for start in firsts:
        for end in lasts:
            if offsets[start] and offsets[end] and 0 <= end - start < LONGEST:
                score = float(first[start] + last[end])
                spans.append((score, offsets[start][0], offsets[end][1]))
    return max(spans, default=None)


def normalized(answer):
    """Words in lower case, without punctuation and articles."""
    plain = "".join(letter for letter in answer.lower() if letter not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", plain).split()


def overlap(words, gold):
    """F1 of two bags of words."""
    common = sum((Counter(words) & Counter(gold)).values())
    return 2.0 * common / (len(words) + len(gold)) if common else 0.0
