"""Writes paste_masks.txt: masks over boxes as torch's grid_sample lays them on an image, to which train/detection/paste.cpp must be equal to the pixel.

Run: python tests/golden/paste_masks.py (needs torch and pycocotools). The mask's cells come from the formula in `cells`, which
tests/train/detection/paste_test.cpp repeats. A line: side of the mask, seed, x y w h of the box, width and height of the image, COCO's string.
"""
import os

import numpy as np
import torch
from pycocotools import mask as coco


def cells(side, seed):
    """Patches of 3 x 3 equal cells with one of nine values from 0 to 0.92, none of them one half; as f32."""
    row, column = np.meshgrid(np.arange(side) // 3, np.arange(side) // 3, indexing="ij")
    return ((row * 7919 + column * 104729 + seed * 1299709) % 251 % 9 / 8.7).astype(np.float32).astype(np.float64)


def pasted(mask, box, width, height):
    x, y, w, h = box
    u = (torch.arange(width, dtype=torch.float64) + 0.5 - x) / w * 2 - 1
    v = (torch.arange(height, dtype=torch.float64) + 0.5 - y) / h * 2 - 1
    grid = torch.stack([u[None, :].expand(height, -1), v[:, None].expand(-1, width)], -1)[None]
    return torch.nn.functional.grid_sample(torch.from_numpy(mask)[None, None], grid, align_corners=False)[0, 0].numpy()


rng = np.random.default_rng(28)
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "paste_masks.txt"), "w") as out:
    seed = lines = 0
    while lines < 40:
        seed += 1
        side = 28 if seed % 4 else 5
        width, height = (int(n) for n in rng.integers(1, 120, 2))
        box = np.round(rng.uniform([-20, -20, 0.5, 0.5], [60, 60, 90, 90]) * 16) / 16
        value = pasted(cells(side, seed), box, width, height)
        if (np.abs(value - 0.5) < 1e-9).any():
            continue  # a rounding would decide
        rle = coco.encode(np.asfortranarray((value >= 0.5).astype(np.uint8)))
        print(side, seed, *map(float, box), width, height, rle["counts"].decode(), file=out)
        lines += 1
