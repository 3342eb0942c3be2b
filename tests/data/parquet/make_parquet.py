"""Tables as pyarrow writes them to Parquet, and the same rows as JSON lines.

Made with pyarrow 17.0.0: python make_parquet.py
"""

import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent
TEXTS = ["the film was good", "", " spaces  kept ", "tab\tand\nline\r\nbreaks", '"quotes" \\ \x00',
         "naïve café", "中文字符", "💙 a\u0301", "\u2028", "good", "good", "good"]
FLOATS = [0.1, -2.5, 1e-7, 3.0, 4.2, 0.0, 1e20, 5.0, 2.75, 1.0, 0.3, 7.0]

rows = [
    {
        "text": text,
        "pair": f"pair {row}",
        "label": row % 3,
        "score": FLOATS[row],
        "single": FLOATS[row],
        "flag": row % 2 == 0,
        "tags": [["a"], [], ["b", "a"]][row % 3],
        "numbers": [float(row), 0.5],
        "words": ["EU", "rejects", f"w{row}"],
        "ner_tags": [3, 0, row],
        "endings": ["one", "two", text],
        "deep": {"text": [text], "start": [row]},
    }
    for row, text in enumerate(TEXTS)
]
with open(HERE / "rows.jsonl", "w", encoding="utf-8") as file:
    file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)

schema = pa.schema([
    ("text", pa.string()), ("pair", pa.large_string()), ("label", pa.int64()),
    ("score", pa.float64()), ("single", pa.float32()), ("flag", pa.bool_()),
    ("tags", pa.list_(pa.string())), ("numbers", pa.list_(pa.float64())),
    ("words", pa.list_(pa.string())), ("ner_tags", pa.list_(pa.int8())),
    ("endings", pa.list_(pa.string())),
    ("deep", pa.struct([("text", pa.list_(pa.string())), ("start", pa.list_(pa.int32()))])),
])
table = pa.Table.from_pylist(rows, schema=schema)
# As datasets and pandas write them.
pq.write_table(table, HERE / "rows.parquet", row_group_size=5)
for name, settings in {
    "zstd": {"compression": "zstd", "data_page_version": "2.0"},
    "gzip": {"compression": "gzip", "use_dictionary": False},
    "lz4": {"compression": "lz4", "data_page_size": 64},
    "plain": {"compression": "none", "version": "1.0"},
}.items():
    pq.write_table(table, HERE / f"rows-{name}.parquet", **settings)

odd = {
    "empty": pa.array(["a", None, "b"]),
    "text": pa.array([b"a", b"b", b"c"]),  # without a word about UTF-8, as old writers have it
    "picture": pa.array([b"\xff\xd8", b"\xff", b"\x00"]),
    "label": pa.array([1, 2, 3], pa.uint8()),
    "day": pa.array([0, 1, 20000], pa.date32()),
    "price": pa.array([None, "1.50", "2.25"]).cast(pa.decimal128(10, 2)),
}
pq.write_table(pa.table(odd), HERE / "odd.parquet")
pq.write_table(pa.Table.from_arrays([odd["text"], odd["label"]], ["text", "text"]), HERE / "twice.parquet")
pq.write_table(table.slice(0, 0), HERE / "none.parquet")

# What hostile files do: a date that no calendar has, and few bytes that become very many.
far = {"text": pa.array(["a"]), "label": pa.array([2**31 - 1], pa.date32())}
pq.write_table(pa.table(far), HERE / "far.parquet")
long = {"text": pa.array(["a" * (72 << 20)]), "label": pa.array([1])}
pq.write_table(pa.table(long), HERE / "long.parquet", compression="zstd", use_dictionary=False, write_statistics=False)
many = {"text": pa.array(["a"]), "label": pa.array([[1] * 6_000_000], pa.list_(pa.int8()))}
pq.write_table(pa.table(many), HERE / "many.parquet")
