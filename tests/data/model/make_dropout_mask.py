"""Makes dropout_mask.json, what the layers' dropout drops: a reference for
src/model/encoder/layer/tests.rs.

    python make_dropout_mask.py

Needs torch 2.4.0, whose generator draws the seed. Threefry4x32 is written down from the paper
(Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", table 2) and checked, in its
form with 20 rounds, with the test vectors that its authors publish.
"""
import json, os

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
SEED, ROWS, WIDTH, SHARE = 3, 5, 144, 0.2
LANES, WORDS = 16, 4
ROTATIONS = [(10, 26), (11, 21), (13, 27), (23, 5), (6, 20), (17, 11), (25, 10), (18, 20)]


def threefry(counter, key, rounds):
    wrap = lambda x: x & 0xFFFFFFFF
    turn = lambda x, by: wrap(x << by) | x >> 32 - by
    parity = 0x1BD11BDA
    for word in key:
        parity ^= word
    keys = [*key, parity]
    x = [wrap(word + k) for word, k in zip(counter, keys)]
    for i in range(rounds):
        first, second = ROTATIONS[i % 8]
        for (a, b), by in zip([(0, 1), (2, 3)] if i % 2 == 0 else [(0, 3), (2, 1)], (first, second)):
            x[a] = wrap(x[a] + x[b])
            x[b] = turn(x[b], by) ^ x[a]
        if i % 4 == 3:
            step = i // 4 + 1
            x = [wrap(word + keys[(step + place) % 5]) for place, word in enumerate(x)]
            x[3] = wrap(x[3] + step)
    return x


known = {
    (0,) * 8: "9c6ca96a e17eae66 fc10ecd4 5256a7d8",
    (0xFFFFFFFF,) * 8: "2a881696 57012287 f6c7446e a16a6732",
}
for words, result in known.items():
    assert threefry(words[:4], words[4:], 20) == [int(word, 16) for word in result.split()]

torch.manual_seed(SEED)
seed = torch.empty((), dtype=torch.int64).random_(-(2**63), None).item() % 2**64
key = [seed & 0xFFFFFFFF, seed >> 32, 0, 0]
threshold = int(SHARE * 2**32)
rows = []
for row in range(ROWS):
    dropped = ""
    for place in range(WIDTH):
        block, word, lane = place // (LANES * WORDS), place // LANES % WORDS, place % LANES
        drawn = threefry([block * LANES + lane, row, 0, 0], key, 12)[word]
        dropped += "1" if drawn < threshold else "0"
    rows.append(dropped)
with open(os.path.join(HERE, "dropout_mask.json"), "w") as file:
    json.dump({"seed": SEED, "share": SHARE, "dropped": rows}, file, indent=1)
    file.write("\n")
