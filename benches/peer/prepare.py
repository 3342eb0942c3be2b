"""Files for both halves of `cargo xtask compare` where the published ones do not do.

    python prepare.py rows OUT COUNT TABLE      the first rows of a table, and its header
    python prepare.py squad OUT FILE...         files in SQuAD's form as one
"""

import json
import sys

from files import opened


def rows(out, count, table):
    with opened(table) as lines, opened(out, "wt") as written:
        written.writelines(line for line, _ in zip(lines, range(1 + int(count))))


def squad(out, *files):
    articles = []
    for file in files:
        with opened(file) as text:
            articles += json.load(text)["data"]
    with opened(out, "wt") as written:
        json.dump({"version": "1.1", "data": articles}, written, ensure_ascii=False)


if __name__ == "__main__":
    {"rows": rows, "squad": squad}[sys.argv[1]](*sys.argv[2:])
