"""Writes tokenizers as transformers saves them, with what it makes of some texts.

    python make_folders.py

Run it with transformers 4.57.6, then with 5.24.0, then with 4.57.6 again: each run adds the folders
that its release saves to folders.json, and encodes the texts with every folder that it can load.
In folders.json each folder has "files" (text, or JSON) and "encodings", by the number of the
release: lists of [input_ids, segments], one for each of "texts"; null where it loads nothing. The
segments are 0 where the tokenizer gives none.
"""
import json, pathlib, sys, tempfile

import transformers
from tokenizers import AddedToken, normalizers
from transformers import AutoTokenizer, BertTokenizerFast

RELEASE = transformers.__version__.split(".")[0]
FILE = pathlib.Path(__file__).parent / "folders.json"
VOCAB = """[PAD] [unused1] [UNK] [CLS] [SEP] [MASK] the film Film was Café cafe café good ##ly ##LY
中 国 中国 a ##b ! . Ünder under""".split()
TEXTS = [
    "The Film was goodly!",
    "the film was goodLY .",
    ["Café café", "Ünder 中国 cafe\u0301"],
    "[MASK] was [SEP] newword <e1>  <e2> ab",
    "",
]
CONFIG = {"model_type": "bert", "vocab_size": 32}
UNCASED = {"clean_up_tokenization_spaces": False, "tokenizer_class": "BertTokenizer"}


def saved(tokenizer, change=lambda files: None):
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        files = {path.name: read(path) for path in sorted(pathlib.Path(folder).iterdir())}
    files["config.json"] = CONFIG
    change(files)
    return files


def read(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else text


def write(files, folder):
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (pathlib.Path(folder) / name).write_text(text, encoding="utf-8")


def bert(**settings):
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "vocab.txt").write_text("\n".join(VOCAB) + "\n", encoding="utf-8")
        return BertTokenizerFast.from_pretrained(folder, **settings)


def with_tokens(tokenizer, names):
    tokenizer.add_tokens([AddedToken("newword", normalized=True)])
    tokenizer.add_special_tokens({names: ["<e1>", AddedToken("<e2>", lstrip=True, special=True)]})
    return tokenizer


def generic(cls):
    """Whatever tokenizer.json says: cased, with the accents taken off."""
    backend = bert().backend_tokenizer
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=False, strip_accents=True, lowercase=False
    )
    names = ["unk_token", "cls_token", "sep_token", "pad_token", "mask_token"]
    tokens = {name: f"[{name[:-6].upper()}]" for name in names}
    return cls(tokenizer_object=backend, do_lower_case=True, **tokens)


def lower(files):
    files["tokenizer_config.json"] = UNCASED
    del files["vocab.txt"]


def own_folders():
    if RELEASE == "4":
        from transformers import PreTrainedTokenizerFast

        yield "bert_4", saved(bert(do_lower_case=False))
        yield "accents_4", saved(bert(strip_accents=False, tokenize_chinese_chars=False))
        yield "tokens_4", saved(with_tokens(bert(), "additional_special_tokens"))
        yield "generic_4", saved(generic(PreTrainedTokenizerFast))
        # tokenizer.json is cased, but does not count.
        yield "uncased_by_default", saved(bert(do_lower_case=False), lower)
    else:
        from transformers import TokenizersBackend

        yield "bert_5", saved(bert(do_lower_case=False))
        yield "tokens_5", saved(with_tokens(bert(strip_accents=True), "extra_special_tokens"))
        yield "generic_5", saved(generic(TokenizersBackend))


def encodings(files):
    with tempfile.TemporaryDirectory() as folder:
        write(files, folder)
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder)
        except (ValueError, AttributeError, ImportError):
            return None
        for text in TEXTS:
            one = tokenizer(*text) if isinstance(text, list) else tokenizer(text)
            ids = one["input_ids"]
            yield [ids, one.get("token_type_ids", [0] * len(ids))]


content = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {"folders": {}}
content["texts"] = TEXTS
for name, files in own_folders():
    content["folders"].setdefault(name, {"encodings": {}})["files"] = files
for name, folder in content["folders"].items():
    folder["encodings"][RELEASE] = list(encodings(folder["files"])) or None
    print(name, folder["encodings"][RELEASE], file=sys.stderr)
FILE.write_text(json.dumps(content, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
