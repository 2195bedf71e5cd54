"""Writes pil_transform.txt: what torchvision's and timm's transforms make of pictures through Pillow, to which data/images/transform.cpp must be equal to the byte.

Run: python tests/golden/pil_transform.py (needs torch, torchvision, timm 0.9.10, pillow and numpy). The pictures are those of pil_augment.py. Two kinds
of lines, each ending with FNV-1a (64 bits) of the result's bytes in hexadecimal:
  op NAME width height ARGUMENTS...  one operation with its chances given
  train WHAT width height size seed box mirror steps erased bytes floats, eval WHAT width height size crop_pct bytes floats
    a whole pipeline. `train` runs timm's own code with the project's random numbers in the place of Python's and torch's (class Stream repeats
    core/random.h), so box (x,y,w,h), mirror, steps and erased box are what timm drew; the hash of the bytes is before ToTensor, that of the floats
    after normalisation, with zeros in the erased box.
"""
import math
import os

import numpy as np
import torch
from PIL import Image, ImageEnhance
from timm.data import auto_augment, create_transform, random_erasing
from timm.data import transforms as timm_transforms
from torchvision import transforms
from torchvision.transforms import functional as F

from pil_augment import fnv, picture

SIZES = [(1, 1), (7, 5), (31, 47), (64, 50), (90, 61)]
MASK = 0xFFFFFFFF


def resize_in_two(image, size, resample=None, box=None, reducing_gap=None, original=Image.Image.resize):
    """Along x, then along y: what one call does in every Pillow up to 12; Pillow 13 swaps them when the height shrinks much more than the width."""
    assert box is None and reducing_gap is None and resample == Image.BICUBIC
    return original(original(image, (size[0], image.height), resample), tuple(size), resample)


class Stream:
    """Random(seed, Purpose::augment, 0, index) of core/random.h: Philox4x32-10."""

    def __init__(self, seed, index):
        self.key, self.counter, self.have = (seed & MASK, seed >> 32), [0, index, 0, 4 << 8], []

    def bits(self):
        if not self.have:
            (a, b, c, d), (k, l) = self.counter, self.key
            for _ in range(10):
                x, y = 0xD2511F53 * a, 0xCD9E8D57 * c
                a, b, c, d = (y >> 32) ^ b ^ k, y & MASK, (x >> 32) ^ d ^ l, x & MASK
                k, l = (k + 0x9E3779B9) & MASK, (l + 0xBB67AE85) & MASK
            self.have = [a, b, c, d]
            self.counter[0] += 1
        return self.have.pop(0)

    def random(self):
        first, second = self.bits(), self.bits()
        return ((first >> 5) << 26 | second >> 6) * 2.0**-53

    def uniform(self, low, high):
        return low + (high - low) * self.random()

    def randint(self, low, high):
        return low + int(self.random() * (high - low + 1))

    def normal(self):
        u, v = 1 - self.random(), self.random()
        return math.sqrt(-2 * math.log(u)) * math.cos(6.283185307179586 * v)


class Draws:
    """In the place of the modules `random`, numpy.random and torch's generator: our stream, each number for what ours is for, and a note of it."""

    def start(self, seed, index):
        self.stream, self.mirror, self.steps, self.erased, self.signed, self.chosen = Stream(seed, index), 0, [], "none", None, None

    def __getattr__(self, name):  # uniform, randint of the crop and of the erased box
        return getattr(self.stream, name)

    def rand(self, *size):  # the mirror
        u = self.stream.random()
        self.mirror = int(u < 0.5)
        return torch.tensor([u], dtype=torch.float64)

    def choice(self, ops, count, replace, p):  # one by one, since ours takes all chances of an operation before the next one's
        assert replace and p is None
        for _ in range(count):
            self.chosen, self.fresh = list(ops)[self.stream.randint(0, len(ops) - 1)], True
            yield self.chosen

    def random(self):
        if self.chosen is None:  # RandomErasing's
            return self.stream.random()
        if self.fresh:  # is it done?
            self.fresh = False
            return self.stream.random()
        return 1.0 if self.negative else 0.0

    def gauss(self, mean, deviation):  # an operation's magnitude; ours draws its sign with it, used or not
        magnitude = mean + deviation * self.stream.normal()
        self.negative = self.stream.random() < 0.5
        self.steps.append(self.chosen.name.replace("Increasing", ""))
        return magnitude

    def jitter(self, brightness, contrast, saturation, hue):
        factors = [self.stream.uniform(*r) for r in (brightness, contrast, saturation)]
        order = [0, 1, 2]
        for left in (3, 2):
            other = self.stream.randint(0, left - 1)
            order[left - 1], order[other] = order[other], order[left - 1]
        self.steps += [["brightness", "contrast", "saturation"][i] for i in order]
        return order, *factors, None

    def padded(self, image, size):
        y, x = self.stream.randint(0, image.height - size[0]), self.stream.randint(0, image.width - size[1])
        self.box = (x - 4, y - 4, size[1], size[0])
        return y, x, *size


draws = Draws()


def resized_crop(image, y, x, h, w, *rest, original=F.resized_crop):
    draws.box = (x, y, w, h)
    draws.chosen = None
    return original(image, y, x, h, w, *rest)


def erase_with_zeros(per_pixel, rand_color, patch_size, **options):
    assert per_pixel
    return torch.zeros(patch_size)


class Erasing:
    """The random numbers of RandomErasing, and its box."""

    def random(self):
        draws.chosen, self.places = None, []
        return draws.random()

    def uniform(self, low, high):
        return draws.uniform(low, high)

    def randint(self, low, high):
        self.places.append((high, draws.randint(low, high)))
        if len(self.places) == 2:
            (room_y, y), (room_x, x) = self.places
            draws.erased = f"{x},{y},{self.side - room_x},{self.side - room_y}"
        return self.places[-1][1]


erasing = Erasing()


def install():
    Image.Image.resize = resize_in_two
    timm_transforms.random = auto_augment.random = draws
    timm_transforms.F.resized_crop = resized_crop
    auto_augment.np.random.choice = draws.choice
    torch.rand = draws.rand
    transforms.ColorJitter.get_params = staticmethod(draws.jitter)
    transforms.RandomCrop.get_params = staticmethod(draws.padded)
    random_erasing.random, random_erasing._get_pixels = erasing, erase_with_zeros


def floats(tensor):
    return fnv(tensor.permute(1, 2, 0).contiguous().numpy().tobytes())


def run(pipeline, image):
    """The bytes before ToTensor and the floats at the end."""
    at = next(i for i, t in enumerate(pipeline.transforms) if isinstance(t, transforms.ToTensor))
    for t in pipeline.transforms[:at]:
        image = t(image)
    x = image
    for t in pipeline.transforms[at:]:
        x = t(x)
    return f"{fnv(image.tobytes())} {floats(x)}"


def operations(out):
    """Each at five strengths, places or scales on each picture."""
    for size in SIZES:
        image = Image.fromarray(picture(*size))
        w, h = size

        def line(name, result, *arguments):
            print("op", name, w, h, *arguments, fnv(result.tobytes()), file=out)

        for factor in (0.0, 0.6, 0.83, 1.0, 1.4):
            line("brightness", F.adjust_brightness(image, factor), factor)
            line("contrast", F.adjust_contrast(image, factor), factor)
            line("saturation", F.adjust_saturation(image, factor), factor)
            line("sharpness", ImageEnhance.Sharpness(image).enhance(factor), factor)
        line("mirror", F.hflip(image))
        for x, y in [(-4, -4), (0, 0), (4, 4), (3, -2), (-1, 4)]:
            side = min(size)
            line("pad-crop", F.crop(F.pad(image, 4), y + 4, x + 4, side, side), x, y, side)
        for x, y, cw, ch in [(0, 0, 1, 1), (0, 0, 0.5, 0.5), (0.25, 0.1, 0.7, 0.4), (0.6, 0.5, 0.4, 0.5), (0, 0.4, 1, 0.2)]:
            box = int(x * w), int(y * h), max(1, int(cw * w)), max(1, int(ch * h))
            line("resized-crop", F.resized_crop(image, box[1], box[0], box[3], box[2], [24, 24], F.InterpolationMode.BICUBIC), *box, 24, 24)
        for scale in (0.2, 0.5, 0.9, 1.3, 3.1):
            to = max(1, int(w * scale)), max(1, int(h * scale))
            line("resize", F.resize(image, to[::-1], F.InterpolationMode.BICUBIC), *to)


def trainings(out):
    # Not the single pixel: of it timm would cut a crop without any, which torchvision and ours never do.
    for what, sizes, side in [("recipe", SIZES[1:], 32), ("recipe", SIZES[2:], 224), ("jitter", SIZES[1:], 32), ("padded", [(31, 31), (31, 47), (64, 50)], 31)]:
        pipeline = create_transform(side, is_training=True, interpolation="bicubic", re_prob=0.25, re_mode="pixel", re_count=1,
                                    auto_augment=None if what == "jitter" else "rand-m9-mstd0.5-inc1", color_jitter=0.4)
        if what == "padded":  # as DeiT's small images; others are resized first
            pipeline.transforms[0:1] = [transforms.Resize(side, F.InterpolationMode.BICUBIC), transforms.RandomCrop(side, padding=4)]
        erasing.side = side
        for width, height in sizes:
            image = Image.fromarray(picture(width, height))
            for index in range(12 if side < 200 else 4):
                draws.start(7, index)
                hashes = run(pipeline, image)
                box, steps = ",".join(map(str, draws.box)), ",".join(draws.steps) or "none"
                print("train", what, width, height, side, index, box, draws.mirror, steps, draws.erased, hashes, file=out)


def evaluations(out):
    """timm's, and the official code's: int(256 / 224 * size) up to 224 pixels, above that the size itself."""
    for size in SIZES:
        image = Image.fromarray(picture(*size))
        for side, crop_pct in [(32, 0.875), (224, 0.875), (224, 0.96), (224, 0.9), (61, 0.96), (32, 1.0), (256, 1.0)]:
            print("eval timm", *size, side, crop_pct, run(create_transform(side, interpolation="bicubic", crop_pct=crop_pct), image), file=out)
        for side, crop_pct in [(160, 0.875), (224, 0.875), (384, 1.0)]:
            official = [transforms.Resize(side if side > 224 else int((256 / 224) * side), interpolation=3), transforms.CenterCrop(side)]
            official += [transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
            print("eval official", *size, side, crop_pct, run(transforms.Compose(official), image), file=out)


install()
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "pil_transform.txt"), "w") as out:
    operations(out)
    trainings(out)
    evaluations(out)
