"""Rows with ids of classes as Hugging Face's datasets exports them, and the same rows with names.

Made with datasets 5.2.0 and pyarrow 26.0.1: python make_class_names.py
"""

import json
import pathlib

import datasets
import pyarrow

HERE = pathlib.Path(__file__).parent
label = datasets.ClassLabel(names=["neutral", "contradiction", "entailment", "10"])
tag = datasets.ClassLabel(names=["O", "B-PER", "I-PER"])
features = datasets.Features({
    "text": datasets.Value("string"), "label": label, "count": datasets.Value("int64"),
    "tokens": datasets.Sequence(datasets.Value("string")), "ner_tags": datasets.Sequence(tag),
    "topics": [label],
})
rows = {
    "text": ["a", "b", "c", "d"], "label": [2, 0, -1, 1], "count": [2, 0, 1, 1],
    "tokens": [["Tom", "left"], ["no"], ["Ann", "Lee"], ["x"]], "ner_tags": [[1, 0], [0], [1, 2], [0]],
    "topics": [[0, 2], [], [3], [1]],
}
table = datasets.Dataset.from_dict(rows, features=features)
table.to_parquet(HERE / "class_names.parquet")
names = lambda feature, id: feature.int2str(id) if id >= 0 else id
described = {
    "versions": {"datasets": datasets.__version__, "pyarrow": pyarrow.__version__},
    "label": label.names,
    "ner_tags": tag.names,
    "rows": [
        {
            "text": row["text"], "label": names(label, row["label"]), "count": row["count"],
            "ner_tags": [names(tag, id) for id in row["ner_tags"]],
            "topics": [names(label, id) for id in row["topics"]],
        }
        for row in table
    ],
}
(HERE / "class_names.json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
