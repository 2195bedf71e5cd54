#!/usr/bin/env python3
"""Writes the golden files: what the official RMT computes, for the C++ model to repeat.

    make_golden.py --official DIR [--only TEXT] [--out FOLDER] [--threads 2]

DIR holds the official RMT.py (see official.py); --only runs the cases whose name holds TEXT. Needs torch, numpy, safetensors.

No weights are shipped. Every parameter, buffer and input is filled by a counter hash of its name and of the element's index in the official layout
(conv weights O,I,kh,kw; images B,3,H,W), and every gradient is kept as its norm and 16 projections on random signs taken from the same hash.

    h = FNV-1a 64 of the name;   x = splitmix64 finaliser of h + (index + 1) * 0x9E3779B97F4A7C15
    u = (x >> 40) * 2^-23 - 1 in [-1, 1);   value = float32(offset + scale * u)      in double, rounded once, then widened to the dtype in use

    name                                    offset  scale
    input                                   0       1.7
    upstream (gradient of the logits)       0       1
    *.running_mean                          0       0.1
    *.running_var                           1       0.5
    *.gamma_1, *.gamma_2                    0.5     0.1
    *.bias                                  0       0.1
    *.weight of a norm (one dimension)      1       0.1
    *.pos.conv.weight                       0       sqrt(3 / 9) / 4      the residual stream would otherwise double its variance in every block
    *.weight, all others                    0       sqrt(3 / fan_in), fan_in = numel / shape[0]
    *.num_batches_tracked                   0; Relpos.angle and Relpos.decay stay as they are

A file <model>_<H>x<W>_<eval|train>.safetensors holds, batch 2, f64:
    logits (2, 1000)              of the f64 model, whose angle and decay are the official fp32-rounded ones
    grad_digest (P, 17)           of d sum(logits * upstream) / d parameter, in the order of named_parameters(): the norm, then 16 projections;
                                  element i has sign + in projection j when bit j of hash(name + "#sign", i) is set
    input_digest (1, 17)          of the gradient of the input
    buffer_digest (Q, 17)         train only: running_mean and running_var after the forward, in the order of named_buffers()
    fp32_error (P,), logits_fp32_error (1,), input_fp32_error (1,)      ||a32 - a64|| / ||a64|| with PyTorch's fp32 model
In train mode ten biases have a gradient of mathematical zero, since a batch-statistics BatchNorm takes any constant away: their digests are rounding
noise, 1e-13 and less beside norms of 2e-2 and more. They are patch_embed.proj.{0,3,6,9}, layers.{0,1,2}.downsample.reduction, ffn.dwconv.conv and ffn.fc2
of the last block, and proj. The fp32_error of head.bias is exactly 0, its gradient being a sum of two floats.

A file <case>_bf16.safetensors, for rmt_n at 64 and rmt_t and rmt_s at 224, holds how far PyTorch's bf16 autocast on fp32 weights is from f64 there:
    bf16_error (P,), logits_bf16_error (1,), input_bf16_error (1,)      measured on --device (autocast's lists of ops differ a little between cpu and cuda)

adamw_rmt_t_97x131.safetensors holds losses (10,): ten AdamW steps in f64 (train mode) on the input above, see adamw().
<model>.names lists the state_dict, one "name shape" a line, - for a scalar.
"""
import argparse, copy, math, os, time, warnings
import numpy as np, torch
from safetensors.numpy import save_file
import official

POS = .25      # with 1, the residual stream of RMT-L reaches 1e6
CHUNK = 1 << 20
SIZES = {'rmt_t': [(224, 224), (160, 192), (97, 131)], 'rmt_s': [(224, 224), (160, 192), (97, 131)], 'rmt_b': [(224, 224)], 'rmt_l': [(224, 224)], 'rmt_n': [(64, 64)]}
BATCH = 2


def hashes(name, begin, end):
    """uint64 hash of (name, index) for begin <= index < end."""
    h = 0xcbf29ce484222325
    for byte in name.encode():
        h = (h ^ byte) * 0x100000001b3 % 2**64
    x = np.uint64(h) + np.arange(begin + 1, end + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x


def values(name, shape, offset, scale):
    y = np.empty(math.prod(shape), np.float32)
    for i in range(0, y.size, CHUNK):
        u = (hashes(name, i, min(i + CHUNK, y.size)) >> np.uint64(40)).astype(np.float64) * 2.**-23 - 1
        y[i:i + CHUNK] = offset + scale * u
    return torch.from_numpy(y.reshape(shape))


def offset_and_scale(name, shape):
    last = name.rsplit('.', 1)[-1]
    if last == 'running_mean' or last == 'bias': return 0, .1
    if last == 'running_var': return 1, .5
    if last in ('gamma_1', 'gamma_2'): return .5, .1
    assert last == 'weight', name
    if len(shape) == 1: return 1, .1
    scale = math.sqrt(3 / (math.prod(shape) / shape[0]))
    return 0, POS * scale if name.endswith('pos.conv.weight') else scale


@torch.no_grad()
def fill(model):
    for name, x in model.state_dict().items():
        if name.endswith('num_batches_tracked'): x.zero_()
        elif not name.endswith(('Relpos.angle', 'Relpos.decay')): x.copy_(values(name, x.shape, *offset_and_scale(name, x.shape)))
    return model


def digest(name, x):
    """[norm, 16 projections on random signs] of a tensor"""
    x = x.detach().numpy().reshape(-1)
    d = np.zeros(17)
    for i in range(0, x.size, CHUNK):
        part = x[i:i + CHUNK]
        bits = np.unpackbits(hashes(name + '#sign', i, i + part.size).astype('<u2').view(np.uint8).reshape(-1, 2), axis=1, bitorder='little')
        d[1:] += part @ (bits * 2. - 1)
    d[0] = np.linalg.norm(x)
    return d


def error(got, expected):
    return ((got.double() - expected).norm() / expected.norm()).item()


def run(model, image, upstream):
    """(logits, gradients by name, with the input's under "input")"""
    dtype = next(model.parameters()).dtype
    x = image.to(dtype, copy=True).requires_grad_()
    y = model(x)
    names, parameters = zip(*model.named_parameters())
    grads = torch.autograd.grad((y * upstream.to(dtype)).sum(), (x, *parameters))
    return y.detach(), dict(zip(('input', *names), grads))


def case(model, height, width, train):
    image, upstream = values('input', (BATCH, 3, height, width), 0, 1.7), values('upstream', (BATCH, 1000), 0, 1)
    single = fill(official.build(model)).train(train)
    double = copy.deepcopy(single).double()
    y32, g32 = run(single, image, upstream)
    y64, g64 = run(double, image, upstream)
    names = [name for name, _ in double.named_parameters()]
    out = {'logits': y64.numpy(),
           'grad_digest': np.stack([digest(name, g64[name]) for name in names]),
           'input_digest': digest('input', g64['input'])[None],
           'fp32_error': np.array([error(g32[name], g64[name]) for name in names]),
           'logits_fp32_error': np.array([error(y32, y64)]),
           'input_fp32_error': np.array([error(g32['input'], g64['input'])])}
    if train:
        out['buffer_digest'] = np.stack([digest(name, b) for name, b in double.named_buffers() if name.endswith(('running_mean', 'running_var'))])
    e = out['fp32_error'][out['grad_digest'][:, 0] > 1e-9 * out['grad_digest'][:, 0].max()]
    print(f'  logits rms {y64.square().mean().sqrt():.3g}, max {y64.abs().max():.3g}; {len(names) - len(e)} of {len(names)} gradients are zero')
    print(f'  fp32 error: logits {out["logits_fp32_error"][0]:.1e}, input {out["input_fp32_error"][0]:.1e}, gradients {e.min():.1e} .. {np.median(e):.1e} .. {e.max():.1e}')
    return out


def bf16_case(model, height, width, train, device):
    image, upstream = values('input', (BATCH, 3, height, width), 0, 1.7), values('upstream', (BATCH, 1000), 0, 1)
    single = fill(official.build(model)).train(train)
    y64, g64 = run(copy.deepcopy(single).double(), image, upstream)
    with torch.autocast(device, dtype=torch.bfloat16):
        y, g = run(single.to(device), image.to(device), upstream.to(device))
    names = [name for name, _ in single.named_parameters()]
    e = np.array([error(g[name].cpu(), g64[name]) for name in names])
    print(f'  bf16 error: logits {error(y.cpu(), y64):.1e}, input {error(g["input"].cpu(), g64["input"]):.1e}, gradients {np.median(e):.1e}')
    return {'bf16_error': e, 'logits_bf16_error': np.array([error(y.cpu(), y64)]), 'input_bf16_error': np.array([error(g['input'].cpu(), g64['input'])])}


def adamw(model, height, width, steps=10):
    """Labels (37 b + 11) mod 1000, cross entropy with smoothing 0.1, AdamW lr 1e-3, betas 0.9 0.999, eps 1e-8, decay 0.05 where ndim > 1."""
    net = fill(official.build(model)).double().train()
    image = values('input', (BATCH, 3, height, width), 0, 1.7).double()
    label = torch.tensor([(37 * b + 11) % 1000 for b in range(BATCH)])
    groups = [{'params': [p for p in net.parameters() if (p.ndim > 1) == decayed], 'weight_decay': .05 if decayed else 0.} for decayed in (True, False)]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(.9, .999), eps=1e-8)
    losses = []
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(net(image), label, label_smoothing=.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print('  losses ' + ' '.join(f'{x:.6g}' for x in losses))
    return {'losses': np.array(losses)}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--official', required=True, metavar='DIR')
    p.add_argument('--only', default='', metavar='TEXT')
    p.add_argument('--out', default=os.path.dirname(os.path.abspath(__file__)), metavar='FOLDER')
    p.add_argument('--device', default='cpu', choices=['cpu', 'cuda'], help='of the bf16 cases')
    p.add_argument('--threads', type=int, default=2)
    a = p.parse_args()
    warnings.filterwarnings('ignore', message='.*meshgrid')
    torch.set_num_threads(a.threads)
    official.load(a.official)
    os.makedirs(a.out, exist_ok=True)
    jobs = {f'{model}_{h}x{w}_{mode}': (case, model, h, w, mode == 'train') for model in SIZES for h, w in SIZES[model] for mode in ('eval', 'train')}
    for model, size in (('rmt_n', 64), ('rmt_t', 224), ('rmt_s', 224)):
        for mode in ('eval', 'train'): jobs[f'{model}_{size}x{size}_{mode}_bf16'] = bf16_case, model, size, size, mode == 'train', a.device
    jobs['adamw_rmt_t_97x131'] = adamw, 'rmt_t', 97, 131
    for name, (job, *arguments) in jobs.items():
        if a.only not in name: continue
        start = time.time()
        print(name, flush=True)
        file = os.path.join(a.out, name + '.safetensors')
        save_file(job(*arguments), file, metadata={'torch': torch.__version__.split('+')[0], 'case': name})
        print(f'  {time.time() - start:.1f} s, {os.path.getsize(file)} bytes', flush=True)
    for model in official.FACTORY:
        if a.only not in model + '.names': continue
        with open(os.path.join(a.out, model + '.names'), 'w') as f:
            for name, x in official.build(model).state_dict().items():
                f.write(f'{name} {"x".join(map(str, x.shape)) or "-"}\n')


if __name__ == '__main__':
    main()
