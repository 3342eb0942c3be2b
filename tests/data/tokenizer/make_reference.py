"""Writes what transformers' BertTokenizerFast makes of many texts, for tests/it/encode/tokenizer.rs.

    python make_reference.py MODEL_DIR DATA_DIR

MODEL_DIR is the folder all-MiniLM-L6-v2; DATA_DIR has the folders sst2, ner and
sentiment-sentences. Made with transformers 4.57.6 and tokenizers 0.22.2.

Beside this script it writes

reference.jsonl.gz  First line: the vocabulary `chars` and the settings of each tokenizer (the content
                    of its tokenizer_config.json). Then one line for each text of hostile.jsonl and for
                    each random one (text, pair or words), with `cases`: which tokenizer, which limit,
                    and the encoding, or null where the reference refuses.
blocks.json         For whole data sets, the first 16 hexadecimal digits of the SHA-256 of each 500
                    encodings in the form of `line` below.
code_points.json    For every code point c the cleaned and split words of "aca", joined by spaces, one
                    line each; the same digest for each 4096 code points.

Lone surrogates, which hostile.jsonl has as JSON escapes, are no text for the reference either: it must
refuse them, and they are not in reference.jsonl.gz.
"""

import gzip
import hashlib
import json
import random
import sys
import tempfile
from pathlib import Path

from tokenizers import normalizers, pre_tokenizers
from transformers import BertTokenizerFast

HERE = Path(__file__).parent
MODEL, DATA = Path(sys.argv[1]), Path(sys.argv[2])
STRATEGIES = ["longest_first", "only_first", "only_second"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
# Letters with capitals that are new in Unicode 17: what becomes of them depends on the compiler's age.
NEW_CAPITALS = [(0xA7CE, 0xA7D5), (0x16EA0, 0x16ED3)]

random.seed(20240817)
pre_tokenizer = pre_tokenizers.BertPreTokenizer()


def normalizer(lowercase, strip_accents, cjk):
    return normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=cjk, strip_accents=strip_accents, lowercase=lowercase
    )


def words_of(normalize, text):
    return [word for word, _ in pre_tokenizer.pre_tokenize_str(normalize.normalize_str(text))]


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# Texts

RANGES = [
    (0x20, 0x7E), (0x00, 0x20), (0x7F, 0xFF), (0x100, 0x24F), (0x300, 0x36F), (0x370, 0x3FF),
    (0x400, 0x4FF), (0x590, 0x5FF), (0x600, 0x6FF), (0x900, 0x97F), (0x9BC, 0x9FE), (0xE31, 0xE4E),
    (0xF71, 0xF87), (0x1100, 0x11FF), (0x1AB0, 0x1AC0), (0x1DC0, 0x1DFF), (0x1E00, 0x1EFF),
    (0x1F00, 0x1FFF), (0x2000, 0x206F), (0x20D0, 0x20F0), (0x2100, 0x218B), (0x2600, 0x2640),
    (0x302A, 0x3030), (0x3000, 0x3040), (0x3040, 0x30FF), (0x4E00, 0x4E80), (0xA66F, 0xA69F),
    (0xAC00, 0xAC40), (0xD790, 0xD7FF), (0xE000, 0xE008), (0xF900, 0xF940), (0xFB1D, 0xFB4F),
    (0xFE00, 0xFE2F), (0xFEFF, 0xFEFF), (0xFF00, 0xFFEF), (0xFFF9, 0xFFFF), (0x10400, 0x10450),
    (0x1D15E, 0x1D1AD), (0x1E900, 0x1E95F), (0x1F1E6, 0x1F1FF), (0x1F3FB, 0x1F3FF), (0x1F600, 0x1F64F),
    (0x2B81E, 0x2B822), (0x2B91E, 0x2B922), (0x2F800, 0x2F840), (0xE0020, 0xE007F), (0x10FFFD, 0x10FFFF),
]
CHUNKS = SPECIAL + ["[ENT]", "[GAP]", "only", "\u00fcni", "[mask]", "##", " ", "  ", "\u200d", "\ufe0f", "the ", "'s", "..."]


def random_text(most):
    parts = []
    ranges = random.sample(RANGES, random.randint(1, 4)) + [(0x61, 0x7A)]
    for _ in range(random.randint(0, most)):
        if random.random() < 0.15:
            parts.append(random.choice(CHUNKS))
        else:
            parts.append(chr(random.randint(*random.choice(ranges))))
    return "".join(parts)


hostile, refused = [], []
for row in map(json.loads, (HERE / "hostile.jsonl").read_text("ascii").splitlines()):
    (refused if "surrogate" in row["name"] and "pairs" not in row["name"] else hostile).append(row)
rows = [dict(row) for row in hostile]
for number in range(2500):
    row = {"name": f"random {number}", "text": random_text(random.choice([8, 16, 40]))}
    if number % 5 == 0:
        row["pair"] = random_text(16)
    rows.append(row)
for row in hostile + [{"text": random_text(60)} for _ in range(300)]:
    rows.append({"name": "words", "words": row["text"].split(" ")})


# Tokenizers

def characters():
    """Special tokens, and every character that cleaning leaves, alone and within a word; every tenth
    is left out, so that there are unknown words, and some pairs are put in."""
    seen, pairs = set(), set()
    texts = [text for row in rows for text in [row.get("text"), row.get("pair"), *row.get("words", [])] if text]
    for lowercase, strip_accents, cjk in [(1, 1, 1), (0, 0, 1), (1, 0, 1), (0, 1, 1), (1, 1, 0)]:
        normalize = normalizer(bool(lowercase), bool(strip_accents), bool(cjk))
        for text in texts:
            for word in words_of(normalize, text):
                seen.update(word)
                pairs.update(word[i : i + 2] for i in range(len(word) - 1))
    kept = [c for i, c in enumerate(sorted(seen)) if i % 10 != 7 or c.isascii()]
    pairs = random.sample(sorted(pairs), 400)
    return SPECIAL + kept + ["##" + c for c in kept] + pairs[:200] + ["##" + pair for pair in pairs[200:]]


chars = characters()
plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": False}
SETTINGS = {
    "uncased": {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "strip_accents": None},
    "cased": {"do_lower_case": False, "strip_accents": None, "clean_up_tokenization_spaces": False},
    "small letters with accents": {"do_lower_case": True, "strip_accents": False},
    "capitals without accents": {"do_lower_case": False, "strip_accents": True, "model_max_length": 512},
    "no ideographs": {"tokenize_chinese_chars": False},
    "left": {"truncation_side": "left", "split_special_tokens": True},
    "added": {
        "do_lower_case": True,
        "additional_special_tokens": ["[GAP]"],
        "added_tokens_decoder": {
            str(len(chars)): {**plain, "content": "[ENT]", "normalized": True},
            str(len(chars) + 1): {**plain, "content": "\u00fcni", "normalized": True},
            str(len(chars) + 2): {**plain, "content": "only", "single_word": True},
            str(len(chars) + 3): {**plain, "content": "[GAP]", "lstrip": True, "rstrip": True, "special": True},
        },
    },
}


def load(vocab, settings):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "vocab.txt").write_bytes(vocab)
        (Path(folder) / "tokenizer_config.json").write_text(json.dumps(settings))
        return BertTokenizerFast.from_pretrained(folder)


TOKENIZERS = {name: load("".join(t + "\n" for t in chars).encode(), one) for name, one in SETTINGS.items()}
TOKENIZERS["model"] = BertTokenizerFast.from_pretrained(MODEL)
SETTINGS["model, cased"] = {"do_lower_case": False}
TOKENIZERS["model, cased"] = load((MODEL / "vocab.txt").read_bytes(), SETTINGS["model, cased"])


def encode(name, text, pair, limit, strategy, words=False):
    """The encoding, or None where the reference cannot truncate."""
    tokenizer = TOKENIZERS[name]
    try:
        both = tokenizer(
            [text], None if pair is None else [pair], is_split_into_words=words,
            truncation=strategy, max_length=limit,
        )
    except Exception as error:
        assert "Truncation error" in str(error), error
        return None
    return both.encodings[0]


def case(name, row, limit, strategy="longest_first", decode=False):
    words = "words" in row
    text, pair = row["words" if words else "text"], row.get("pair")
    encoding = encode(name, text, pair, limit, strategy, words)
    result = {"tokenizer": name, "limit": limit, "strategy": strategy, "encoding": None}
    if encoding is not None:
        whole = encode(name, text, pair, 10**6, "longest_first", words)
        result["encoding"] = {
            "ids": encoding.ids,
            "types": "".join(map(str, encoding.type_ids)),
            "special": "".join(map(str, encoding.special_tokens_mask)),
            "offsets": [offset for both in encoding.offsets for offset in both],
            "words": [-1 if word is None else word for word in encoding.word_ids],
            "truncated": len(whole.ids) - len(encoding.ids),
        }
        if decode:
            result["decoded"] = [TOKENIZERS[name].decode(encoding.ids, skip_special_tokens=skip) for skip in (False, True)]
    return result


def reference():
    for row in refused:
        try:
            TOKENIZERS["uncased"]([row["text"]])
        except TypeError:
            continue
        sys.exit(f"the reference takes {row}")
    names = list(SETTINGS)
    for number, row in enumerate(rows):
        if "words" in row:
            row["cases"] = [case(random.choice(names), row, limit) for limit in [512, random.randint(2, 20)]]
        elif row["name"].startswith("random"):
            row["cases"] = [case(names[(number + i) % len(names)], row, 512) for i in range(2)]
            row["cases"].append(case(random.choice(names), row, random.randint(3, 20), random.choice(STRATEGIES)))
        else:
            row["cases"] = [case(name, row, 512, decode=True) for name in [*names, "model"]]
            for limit in [3, 4, 5, 8, 9, 16, 17] if "pair" in row else [2, 3, 7]:
                for strategy in STRATEGIES:
                    row["cases"] += [case(name, row, limit, strategy) for name in ["uncased", "left"]]
    first = {"chars": chars, "settings": SETTINGS}
    text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in [first, *rows])
    # No time stamp: the same content is the same file.
    (HERE / "reference.jsonl.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


# Whole data sets

def line(encoding):
    return ";".join([
        ",".join(map(str, encoding.ids)),
        "".join(map(str, encoding.type_ids)),
        "".join(map(str, encoding.special_tokens_mask)),
        ",".join(f"{start}-{end}" for start, end in encoding.offsets),
        ",".join("-" if word is None else str(word) for word in encoding.word_ids),
    ]) + "\n"


def column(file):
    data = (DATA / file).read_bytes()
    data = gzip.decompress(data) if file.endswith(".gz") else data
    return [row.split("\t")[0] for row in data.decode().removesuffix("\n").split("\n")[1:]]


def sentences(file):
    """The words of each sentence of a file with a word and a tag a line and empty lines between."""
    blocks = (DATA / file).read_bytes().decode()
    blocks = [block for block in blocks.split("\n\n") if block.strip("\n")]
    return [[row.split("\t")[0] for row in block.strip("\n").split("\n")] for block in blocks]


def blocks(file, kind, name, limit, inputs):
    lines = [line(encode(name, text, pair, limit, "longest_first", kind == "words")) for text, pair in inputs]
    digests = [digest("".join(lines[i : i + 500])) for i in range(0, len(lines), 500)]
    return {"file": file, "kind": kind, "tokenizer": name, "limit": limit, "rows": len(lines), "digests": digests}


def data_sets():
    sets = []
    for file in ["sentiment-sentences/train.tsv", "sentiment-sentences/dev.tsv", "sentiment-sentences/test.tsv",
                 "sst2/train.tsv.gz", "sst2/dev.tsv"]:
        texts = column(file)
        for name in ["model", "model, cased"]:
            sets.append(blocks(file, "text", name, 512, [(text, None) for text in texts]))
        if not file.startswith("sst2/train"):
            # Each sentence with the next, too long together.
            sets.append(blocks(file, "pair", "model", 24, list(zip(texts, texts[1:]))))
    for file in ["ner/train.conll", "ner/dev.conll", "ner/test.conll"]:
        words = sentences(file)
        for name in ["model", "model, cased"]:
            sets.append(blocks(file, "words", name, 64, [(one, None) for one in words]))
            sets.append(blocks(file, "joined", name, 512, [(" ".join(one), None) for one in words]))
    (HERE / "blocks.json").write_text(json.dumps(sets, indent=1) + "\n")


def code_points():
    result = {"new_capitals": NEW_CAPITALS, "digests": []}
    for settings in [(True, True, True), (False, False, True), (True, False, False)]:
        normalize = normalizer(*settings)
        digests = []
        for block in range(0, 0x110000, 4096):
            lines = []
            for code in range(block, block + 4096):
                if 0xD800 <= code < 0xE000 or any(a <= code <= b for a, b in NEW_CAPITALS):
                    continue
                lines.append(" ".join(words_of(normalize, f"a{chr(code)}a")) + "\n")
            digests.append(digest("".join(lines)))
        names = ["lowercase", "strip_accents", "cjk"]
        result["digests"].append({**dict(zip(names, settings)), "blocks": digests})
    (HERE / "code_points.json").write_text(json.dumps(result, indent=1) + "\n")


reference()
data_sets()
code_points()
