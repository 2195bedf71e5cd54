#!/usr/bin/env python3
"""Writes token_targets.safetensors: what the published code of token labelling makes of 20 crops, for ops/token_targets.cpp to repeat.

    make_token_targets_golden.py --published DIR [--out FOLDER]

DIR is a checkout of github.com/zihangJiang/TokenLabeling, of which tlt/data/mixup.py alone is imported. Needs torch, torchvision, numpy, safetensors. The
published code computes on a GPU in f32; here it runs on the CPU in f64, for which Tensor.float and the name float32 are made to mean f64.

Teachers' maps are random: 2 of 18 x 18 cells and 2 of 6 x 6, 5 of 50 classes a cell, with logits that f16 has. Each map is cut by 5 boxes, and for S = 18 and 6:
    values_S (2, S, S, 5) f32, classes_S (2, S, S, 5) i32
    boxes_S (10, 4) f64: {left, top, right, bottom} as shares of the map, of map 0 the first five
    whole_S_<order> (10, 50) f64: the target of the whole crop
    tokens_S_<order> f64: numbers 0, 7, 14, ... of the targets of 7 x 7 tokens, (10, 7, 7, 50). 7 and 50 have no common divisor: there are some of each token.
The published code hands (top, left, bottom, right) to RoIAlign, which expects (left, top, right, bottom). <order> is `upstream` for what comes of that, and
`correct` for what comes of giving it the coordinates in the other order. `correct_mixed`: the same for lambda = 0.3. Smoothing is 0.1 everywhere.
The metadata has f32_error: the greatest difference to the published code in f32.
"""
import argparse, importlib.util, os
import numpy as np, torch
from safetensors.numpy import save_file

K, T, EVERY, LAMBDA, SMOOTHING = 50, 5, 7, .3, .1
BOXES = {18: [(0, 0, 1, 1), (.1, .25, .9, .75), (.5, 0, 1, .3), (.31, .62, .34, .99), (.71, .43, .73, .45),
              (0, 0, .08, 1), (.2, .1, .47, .46), (.85, .9, 1, 1), (.013, .57, .77, .83), (.25, .25, .75, .75)],
         6: [(0, 0, 1, 1), (.15, .05, .6, .95), (0, .4, .2, 1), (.5, .5, .5, .5), (.62, .11, .97, .2),
             (.33, .0, .66, .5), (.05, .71, .95, .99), (.4, 0, 1, .55), (.9, .1, .99, .3), (.123, .456, .789, .987)]}


def load(checkout):
    spec = importlib.util.spec_from_file_location('published', os.path.join(checkout, 'tlt', 'data', 'mixup.py'))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class InDouble:
    """While one is entered, what asks torch for f32 gets f64."""

    def __enter__(self):
        self.saved = torch.Tensor.float, torch.float32
        torch.Tensor.float, torch.float32 = torch.Tensor.double, torch.float64
        torch.set_default_dtype(torch.float64)

    def __exit__(self, *_):
        torch.Tensor.float, torch.float32 = self.saved
        torch.set_default_dtype(torch.float32)


def maps(S, random):
    values = np.sort(random.normal(6, 4, (2, S, S, T)))[..., ::-1].astype(np.float16).astype(np.float32)
    classes = random.permuted(np.broadcast_to(np.arange(K), (2, S, S, K)), axis=-1)[..., :T].astype(np.int32)
    return np.ascontiguousarray(values), np.ascontiguousarray(classes)


def published(module, values, classes, corners, lam, dtype):
    """(whole (10, K), tokens (10, 7, 7, K)) of boxes given as the two numbers of their first corner and the two of their size, in the order of the call"""
    S = values.shape[1]
    x = torch.zeros(10, 3, T, S, S, dtype=dtype)
    maps_of = np.arange(10) // 5
    x[:, 0] = torch.from_numpy(values[maps_of]).permute(0, 3, 1, 2)
    x[:, 1] = torch.from_numpy(classes[maps_of]).permute(0, 3, 1, 2)
    x[:, 2, 0, 0, :4] = torch.from_numpy(corners)
    y = module.mixup_target(x, K, lam, SMOOTHING, device='cpu', label_size=7)  # (10, K, 1 + 1 + 49): the label, the whole crop, the tokens
    return y[:, :, 1].numpy(), y[:, :, 2:].permute(0, 2, 1).reshape(10, 7, 7, K).numpy()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--published', required=True, metavar='DIR')
    p.add_argument('--out', default=os.path.dirname(os.path.abspath(__file__)), metavar='FOLDER')
    a = p.parse_args()
    torch.set_num_threads(1)
    module, random, tensors, f32_error = load(a.published), np.random.default_rng(1), {}, 0.
    for S, boxes in BOXES.items():
        values, classes = maps(S, random)
        box = np.array(boxes, np.float32).astype(np.float64)
        corners = np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], 1)  # left, top, width, height
        box[:, 2:] = corners[:, 2:] + corners[:, :2]  # as the published code adds them
        tensors |= {f'values_{S}': values, f'classes_{S}': classes, f'boxes_{S}': box}
        for order, axes, lam in ('correct', [0, 1, 2, 3], 1.), ('upstream', [1, 0, 3, 2], 1.), ('correct_mixed', [0, 1, 2, 3], LAMBDA):
            single = published(module, values, classes, corners[:, axes], lam, torch.float32)
            with InDouble(): whole, tokens = published(module, values, classes, corners[:, axes], lam, torch.float64)
            assert whole.dtype == tokens.dtype == np.float64 and single[0].dtype == np.float32
            f32_error = max(f32_error, np.abs(single[0] - whole).max(), np.abs(single[1] - tokens).max())
            tensors |= {f'whole_{S}_{order}': np.ascontiguousarray(whole), f'tokens_{S}_{order}': np.ascontiguousarray(tokens.reshape(-1)[::EVERY])}
            print(f'{S} {order}: rows sum to {tokens.sum(-1).min():.6f} .. {tokens.sum(-1).max():.6f}, greatest {tokens.max():.3f}')
    import torchvision
    file = os.path.join(a.out, 'token_targets.safetensors')
    save_file(tensors, file, metadata={'torch': torch.__version__.split('+')[0], 'torchvision': torchvision.__version__.split('+')[0], 'f32_error': f'{f32_error:.2g}'})
    print(f'f32 differs from f64 by up to {f32_error:.2g}; {os.path.getsize(file)} bytes')


if __name__ == '__main__':
    main()
