#!/usr/bin/env python3
"""Writes the golden files of DeiT and Swin: what timm's models compute, for the C++ ones to repeat.

    make_timm_golden.py [--only TEXT] [--out FOLDER] [--threads 2]

Needs torch, timm, numpy, safetensors. As in make_golden.py, no weights are shipped: every parameter and input is filled from a hash of its name and of
the element's index, and a gradient is kept as its norm and 16 projections on random signs. Three names more have an offset and a scale of their own:

    name                                                         offset  scale
    pos_embed, cls_token, *.relative_position_bias_table         0       0.5

A file timm_<model>_<S>.safetensors holds, for a batch of 2 images of S x S, 10 classes, evaluation, f64:
    logits (2, 10)
    grad_digest (P, 17)           of d sum(logits * upstream) / d parameter, in the order of named_parameters()
    input_digest (1, 17)          of the gradient of the input
and in its metadata "names", the parameters in that order, each as "name shape", joined by commas.
"""
import argparse, os, time
import numpy as np, timm, torch
from safetensors.numpy import save_file
from make_golden import BATCH, digest, offset_and_scale, run, values

TIMM = {'deit_s': 'deit_small_patch16_224', 'swin_t': 'swin_tiny_patch4_window7_224', 'swin_s': 'swin_small_patch4_window7_224'}
# 160 is padded to windows in three stages of Swin; at 64 and 160 the windows of the last stages are smaller than 7, at 32 the last has one token.
SIZES = {'deit_s': [224, 160], 'swin_t': [224, 160, 32], 'swin_s': [224, 64]}
CLASSES = 10


def rule(name, shape):
    return (0, .5) if name.endswith(('pos_embed', 'cls_token', 'relative_position_bias_table')) else offset_and_scale(name, shape)


def case(model, S):
    net = timm.create_model(TIMM[model], img_size=S, num_classes=CLASSES).eval()
    with torch.no_grad():
        for name, x in net.named_parameters(): x.copy_(values(name, x.shape, *rule(name, x.shape)))
    image, upstream = values('input', (BATCH, 3, S, S), 0, 1.7), values('upstream', (BATCH, CLASSES), 0, 1)
    y, g = run(net.double(), image, upstream)
    names = [name for name, _ in net.named_parameters()]
    norms = [digest(name, g[name])[0] for name in names]
    print(f'  logits rms {y.square().mean().sqrt():.3g}; norms of gradients {min(norms):.1e} .. {np.median(norms):.1e} .. {max(norms):.1e}')
    listed = ','.join(f'{name} {"x".join(map(str, x.shape))}' for name, x in net.named_parameters())
    return {'logits': y.numpy(), 'grad_digest': np.stack([digest(name, g[name]) for name in names]), 'input_digest': digest('input', g['input'])[None]}, listed


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--only', default='', metavar='TEXT')
    p.add_argument('--out', default=os.path.dirname(os.path.abspath(__file__)), metavar='FOLDER')
    p.add_argument('--threads', type=int, default=2)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    for model, sizes in SIZES.items():
        for S in sizes:
            name = f'timm_{model}_{S}'
            if a.only not in name: continue
            start = time.time()
            print(name, flush=True)
            tensors, names = case(model, S)
            file = os.path.join(a.out, name + '.safetensors')
            save_file(tensors, file, metadata={'timm': timm.__version__, 'torch': torch.__version__.split('+')[0], 'names': names})
            print(f'  {time.time() - start:.1f} s, {os.path.getsize(file)} bytes', flush=True)


if __name__ == '__main__':
    main()
