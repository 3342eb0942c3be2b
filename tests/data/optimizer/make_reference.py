"""Makes the reference numbers of tests/it/train/optimizer.rs: python make_reference.py

Twenty steps of torch.optim.AdamW (torch 2.4.0), fused and not, over a matrix and a
vector, with a changing learning rate, scaled gradients and clipping.
"""
import os

import torch
from safetensors.torch import save_file

STEPS, SCALE, CLIP = 20, 0.25, 1.0
result = {}
torch.manual_seed(0)
start = {"matrix": torch.randn(5, 7), "vector": torch.randn(7)}
gradients = {name: torch.randn(STEPS, *x.shape) * 3 for name, x in start.items()}
# Some steps stay below the clip.
for name in gradients:
    gradients[name][::3] *= 0.01
rates = torch.linspace(1e-2, 1e-4, STEPS, dtype=torch.float64)
for fused in (True, False):
    weights = {name: torch.nn.Parameter(x.clone()) for name, x in start.items()}
    groups = [
        {"params": [weights["matrix"]], "weight_decay": 0.1},
        {"params": [weights["vector"]], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.99), eps=1e-7, fused=fused, foreach=False)
    norms = []
    for step in range(STEPS):
        for name, weight in weights.items():
            weight.grad = gradients[name][step] * SCALE
        norms.append(float(torch.nn.utils.clip_grad_norm_(weights.values(), CLIP)))
        for group in optimizer.param_groups:
            group["lr"] = float(rates[step])
        optimizer.step()
    kind = "fused" if fused else "plain"
    for name, weight in weights.items():
        result[f"{kind}.{name}"] = weight.detach()
        result[f"{kind}.{name}.exp_avg"] = optimizer.state[weight]["exp_avg"]
        result[f"{kind}.{name}.exp_avg_sq"] = optimizer.state[weight]["exp_avg_sq"]
for name in start:
    result[f"start.{name}"] = start[name]
    result[f"gradients.{name}"] = gradients[name]
result["rates"] = rates
result["norms"] = torch.tensor(norms, dtype=torch.float64)
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reference.safetensors")
save_file({name: tensor.contiguous() for name, tensor in result.items()}, path)
os.chmod(path, 0o644)
