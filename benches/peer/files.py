"""The files that bertfit's recipes read, as plainly as possible."""

import gzip
import json
import lzma


def opened(file, mode="rt"):
    """A file of UTF-8 text, compressed or not; only a line feed ends a line."""
    by_ending = {"gz": gzip.open, "xz": lzma.open}
    return by_ending.get(file.rsplit(".", 1)[-1], open)(file, mode, encoding="utf-8", newline="\n")


def columns(file, names, header):
    """Columns of a tab-separated table without quoting, by name or, without a header, index."""
    with opened(file) as lines:
        rows = [line.rstrip("\n").split("\t") for line in lines]
    if header:
        places = [rows[0].index(name) for name in names]
        rows = rows[1:]
    else:
        places = [int(name) for name in names]
    return [[row[place] for row in rows] for place in places]


def sentences(file):
    """Words and tags of CoNLL columns, of which the first and the last count."""
    words, tags, all_sentences = [], [], []
    with opened(file) as lines:
        for line in [*lines, "\n"]:
            fields = line.split()
            if fields:
                words.append(fields[0])
                tags.append(fields[-1])
            elif words:
                all_sentences.append((words, tags))
                words, tags = [], []
    return all_sentences


def questions(file):
    """Id, question, context and answers of each question of a file in SQuAD's form."""
    with opened(file) as text:
        articles = json.load(text)["data"]
    return [
        (qa["id"], qa["question"], paragraph["context"], qa["answers"])
        for article in articles
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ]
