"""Makes windows.json for the tests of src/encode/sampler.rs: python make_windows.py

The order in which transformers 4.57 (`get_length_grouped_indices`) brings rows of like length
together, before the batches are shuffled. The permutation that it begins with is the identity, and
the longest row is in the first window, so that the swap which puts it first changes nothing.
"""
import json
import os

import torch
from transformers import trainer_pt_utils

torch.manual_seed(0)
cases = []
for rows, batch_size in [(3, 2), (15, 4), (16, 4), (17, 4), (100, 8), (150, 2), (1000, 2), (403, 1)]:
    lengths = torch.randint(3, 40, (rows,)).tolist()
    lengths[0] = 40
    randperm, torch.randperm = torch.randperm, lambda n, generator=None: torch.arange(n)
    order = trainer_pt_utils.get_length_grouped_indices(lengths, batch_size)
    torch.randperm = randperm
    cases.append({"batch_size": batch_size, "lengths": lengths, "order": order})
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "windows.json")
with open(path, "w") as file:
    file.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
