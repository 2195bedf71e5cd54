"""How far the evaluation transform is from torchvision's through Pillow, on photographs and on the same decoded pixels (JPEG decoders differ by a level).

Run: build/bin/bench-loader --data-dir FOLDER --split val --dump DUMP, then python tests/golden/pil_eval.py DUMP [--img-size 224] [--crop-pct 0.875] with the
same flags (needs torchvision, pillow and numpy). Prints the mean and the greatest difference in levels, and exits with 1 if they are 0.05 or above, or
above 1.
"""
import argparse
import glob
import math
import os
import sys

import numpy as np
from PIL import Image
from torchvision import transforms

parser = argparse.ArgumentParser()
parser.add_argument("dump")
parser.add_argument("--img-size", type=int, default=224)
parser.add_argument("--crop-pct", type=float, default=0.875)
o = parser.parse_args()

evaluate = transforms.Compose([transforms.Resize(math.floor(o.img_size / o.crop_pct), interpolation=transforms.InterpolationMode.BICUBIC),
                               transforms.CenterCrop(o.img_size)])
names = sorted(glob.glob(os.path.join(o.dump, "*.decoded.ppm")))
assert names, f"{o.dump}: no *.decoded.ppm; make it with bench-loader --dump"
total, most, same = 0.0, 0, 0
for name in names:
    want = np.asarray(evaluate(Image.open(name)), dtype=np.int32)
    got = np.asarray(Image.open(name.replace("decoded", "eval")), dtype=np.int32)
    assert got.shape == want.shape, (name, got.shape, want.shape)
    difference = np.abs(got - want)
    total, most, same = total + difference.mean(), max(most, int(difference.max())), same + int(not difference.any())
mean = total / len(names)
print(f"{len(names)} images, {same} of them equal to the byte: mean difference {mean:.5f} levels, greatest {most}")
sys.exit(mean >= 0.05 or most > 1)
