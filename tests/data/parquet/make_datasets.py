"""Tagged sentences and questions as `datasets` writes them to Parquet, with its description of
their columns.

Made with datasets 5.2.0 and pyarrow 26.0.1: python make_datasets.py
"""

import json
import pathlib

import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, Features, List, Value

HERE = pathlib.Path(__file__).parent
NAMES = ["O", "B-PER", "I-PER", "B-ORG"]

tagged = {
    "id": ["0", "1"],
    "tokens": [["EU", "rejects"], ["Ada", "Lovelace", "left"]],
    "ner_tags": [[3, 0], [1, 2, 0]],
    "pos_tags": [[0, 1], [0, 0, 1]],
}
features = Features({
    "id": Value("string"),
    "tokens": List(Value("string")),
    "ner_tags": List(ClassLabel(names=NAMES)),
    "pos_tags": List(Value("int64")),
})
Dataset.from_dict(tagged, features=features).to_parquet(HERE / "tagged.parquet")

# As versions before 4 described a list.
table = pq.read_table(HERE / "tagged.parquet")
described = json.loads(table.schema.metadata[b"huggingface"])
described["info"]["features"]["ner_tags"]["_type"] = "Sequence"
older = table.replace_schema_metadata({"huggingface": json.dumps(described)})
pq.write_table(older, HERE / "tagged-older.parquet")
pq.write_table(table.replace_schema_metadata({}), HERE / "tagged-plain.parquet")

context = "Zoë likes good food."
questions = {
    "id": ["a", "b"],
    "title": ["t", "t"],
    "context": [context, context],
    "question": ["What?", "Who else?"],
    "answers": [{"text": ["good food", "food"], "answer_start": [10, 15]}, {"text": [], "answer_start": []}],
}
features = Features({
    "id": Value("string"), "title": Value("string"), "context": Value("string"),
    "question": Value("string"),
    "answers": {"text": List(Value("string")), "answer_start": List(Value("int32"))},
})
Dataset.from_dict(questions, features=features).to_parquet(HERE / "squad.parquet")
