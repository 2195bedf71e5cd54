"""Writes ra_sampler.txt: which images DeiT's RASampler gives to each process, for data/loader.cpp.

Run: python tests/golden/ra_sampler.py (needs torch, for its permutation alone). The rule, as DeiT publishes it and the official recipe uses it, for
N images, 3 repeats and W processes: an epoch's permutation (of torch, seeded by the epoch) with each image three times in a row, continued from its
beginning until W divides it; process r has every W-th of it from the r-th on, and stops after floor(floor(N / 256) * 256 / W) of these. A
DataLoader then drops its last batch if that is not full. Lines:
    order N       then the permutation
    case W B S    batches of B a process, S steps an epoch; then W lines with the images of a process, in its order
"""
import math
import os

import torch

IMAGES, REPEATS, EPOCH = 1000, 3, 7


def main():
    order = torch.randperm(IMAGES, generator=torch.Generator().manual_seed(EPOCH)).tolist()
    lines = [f"order {IMAGES}", " ".join(map(str, order))]
    for processes, batch in [(1, 100), (4, 24), (6, 16), (16, 8)]:
        each = math.ceil(IMAGES * REPEATS / processes)
        repeated = [image for image in order for _ in range(REPEATS)]
        repeated += repeated[: each * processes - len(repeated)]
        taken = IMAGES // 256 * 256 // processes
        lines.append(f"case {processes} {batch} {taken // batch}")
        for rank in range(processes):
            lines.append(" ".join(map(str, repeated[rank::processes][:taken])))
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "ra_sampler.txt"), "w") as f:
        f.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
