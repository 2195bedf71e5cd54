"""Images a second of torchvision's and timm's loader with the ImageNet recipe's transform: what examples/bench-loader.cpp is compared with.

Run: python tests/golden/torch_loader.py FOLDER [--workers 2] [--batch-size 64] [--batches 50] [--aa rand-m9-mstd0.5-inc1] [--img-size 224], with a folder
of folders of images (needs torch, torchvision, timm and pillow). The clock starts after the first batch. It prints a line of JSON.
"""
import argparse
import json
import time

import torch
from PIL import ImageOps
from timm.data import create_transform
from torchvision.datasets import ImageFolder


def posterize(image, bits, original=ImageOps.posterize):
    """Newer Pillows refuse the 0 bits of magnitude 10."""
    return original(image, max(1, bits))


class Endless(torch.utils.data.Dataset):
    """The first `n` images of the folder repeated without end."""

    def __init__(self, images, n):
        self.images, self.n = images, n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return self.images[i % len(self.images)]


parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--workers", type=int, default=2)
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--batches", type=int, default=50)
parser.add_argument("--img-size", type=int, default=224)
parser.add_argument("--aa", default="rand-m9-mstd0.5-inc1")
o = parser.parse_args()

ImageOps.posterize = posterize
torch.set_num_threads(1)
transform = create_transform(o.img_size, is_training=True, color_jitter=None, auto_augment=None if o.aa == "none" else o.aa, interpolation="bicubic",
                             re_prob=0.25, re_mode="pixel", re_count=1)
images = Endless(ImageFolder(o.folder, transform), (o.batches + 1) * o.batch_size)
batches = iter(torch.utils.data.DataLoader(images, batch_size=o.batch_size, shuffle=True, num_workers=o.workers, drop_last=True))
next(batches)
start, count = time.perf_counter(), 0
for x, y in batches:
    count += len(y)
seconds = time.perf_counter() - start
print(json.dumps({"images": count, "seconds": seconds, "images_per_second": count / seconds}))
