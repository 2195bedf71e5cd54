#!/usr/bin/env python3
"""Writes the golden files of token labels: what the official RMT with a head for tokens and MixToken computes, for the C++ model to repeat.

    make_token_label_golden.py --official DIR [--only TEXT] [--out FOLDER] [--threads 2]

DIR holds the official RMT.py and loss/cross_entropy.py (github: qhfan/RMT, classification_token_label_release). Needs torch, numpy, safetensors.

As in make_golden.py, no weights are shipped: every parameter, statistic and image is filled from a hash of its name and of the element's index, and the
constants of positions stay as they are. Drop path is off. MixToken draws lambda and a cell; here they are given (CASES), and the official code makes the
box of them. The targets, of 10 classes, come from the same hash: row r of v = (values('targets', (B, 1 + h w, 10), 0.5, 0.5) + 0.01)^4 becomes
1.0001 v / sum(v), for sums of 1 + e / K are those of the published targets; row 0 is the image's, before MixToken, the others are the tokens'.

A file token_label_<model>.safetensors holds in f64:
    eval.logits (B, 10)           on the images of the case "border", with the statistics from the hash
    eval.grad_digest (P, 5), eval.input_digest (1, 5)        of rmt_n: the gradient of sum(logits * values('upstream', (B, 10), 0, 1))
and for each of its cases, in train mode, with B images of H x W and h x w cells of 32 x 32 pixels:
    <case>.mix (6)                {1, lambda of the targets, first column, first row, columns, rows of the box}, counted in cells
    <case>.loss (1)               TokenLabelCrossEntropy with weights 1 and 0.5
    <case>.image (B, 10), <case>.tokens (B, h, w, 10)        the logits, the tokens' exchanged back
    <case>.stem_digest (1, 5)     of what the first block is given: the stem's map with the box exchanged
    <case>.grad_digest (P, 5)     of the gradient of the loss with respect to every parameter, in the order of named_parameters()
    <case>.input_digest (1, 5)    with respect to the images
    <case>.fp32_error (P,), <case>.{loss,image,tokens,input}_fp32_error (1,)        of rmt_n: ||a32 - a64|| / ||a64|| with PyTorch's f32 model
A digest is the norm and the first 4 of the 16 projections of make_golden.py.
The metadata "names" lists the state_dict in its order, "name shape" each, joined by commas.

rmt_s_projected is the form in which the small model's weights were published: its head for tokens reads the 1024 channels that are pooled (behind proj,
norm and swish) in the place of the 512 of the last block, as 27,992,240 parameters and the shape of aux_head.weight say. The released code has no such
form; ProjectedHead makes it.
"""
import argparse, copy, importlib.util, os, time, unittest.mock, warnings
import numpy as np, torch
from safetensors.numpy import save_file
import official
from make_golden import digest, error, fill, run, values

CLASSES = 10
# name: B, H, W, lambda, row and column of the cell that MixToken draws
CASES = {
    'rmt_n': {'border': (2, 96, 64, 0., 2, 0)},
    'rmt_s': {'inside': (4, 160, 160, .8, 3, 2), 'border': (2, 160, 128, .1, 4, 0), 'empty': (2, 160, 160, .99, 2, 2)},
    'rmt_s_projected': {'border': (2, 96, 96, .3, 1, 2)},
    'rmt_b': {'border': (2, 96, 96, .3, 2, 1)},
    'rmt_l': {'border': (2, 64, 64, 0., 1, 0)},
}


class ProjectedHead(torch.nn.Linear):
    """Is called with the tokens of the last block (B, L, C), and takes what swish gave of them (B, 1024, L) instead."""
    def __init__(self, swish):
        super().__init__(1024, CLASSES)
        swish.register_forward_hook(self.see)

    def see(self, module, inputs, output):
        self.seen = output

    def forward(self, tokens):
        return super().forward(self.seen.transpose(1, 2))


def build(name):
    model = official.build(name.removesuffix('_projected'))
    model.head = torch.nn.Linear(1024, CLASSES)
    model.aux_head = ProjectedHead(model.swish) if name.endswith('_projected') else torch.nn.Linear(model.num_features, CLASSES)
    return fill(model)


def load_loss(folder):
    spec = importlib.util.spec_from_file_location('official_token_loss', os.path.join(folder, 'loss', 'cross_entropy.py'))
    code = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(code)
    return code.TokenLabelCrossEntropy(dense_weight=.5, cls_weight=1., classes=CLASSES)


def targets(B, tokens):
    """(B, K, 2 + tokens), as the official loss takes them: a true class, which it does not use, the image's, the tokens'."""
    v = (values('targets', (B, 1 + tokens, CLASSES), .5, .5).double() + .01) ** 4
    t = (1.0001 * v / v.sum(-1, keepdim=True)).transpose(1, 2)
    return torch.cat([torch.zeros(B, CLASSES, 1, dtype=t.dtype), t], 2)


def train(model, criterion, B, H, W, lam, row, column):
    """What one step in train mode gives by name, gradients under "grad." and the parameter's name."""
    dtype = next(model.parameters()).dtype
    images = values('input', (B, 3, H, W), 0, 1.7).to(dtype).requires_grad_()
    stem = []
    tap = model.layers[0].register_forward_pre_hook(lambda module, inputs: stem.append(inputs[0]))
    with unittest.mock.patch('numpy.random.beta', return_value=lam), unittest.mock.patch('numpy.random.randint', side_effect=[row, column]):
        image, tokens, box = output = model.train()(images)
    tap.remove()
    h, w = H // 32, W // 32
    loss = criterion(output, targets(B, h * w).to(dtype))
    names, parameters = zip(*model.named_parameters())
    grads = torch.autograd.grad(loss, (images, *parameters))
    first_row, first_column, last_row, last_column = map(int, box)
    rows, columns = last_row - first_row, last_column - first_column
    got = {'loss': loss, 'image': image, 'tokens': tokens.reshape(B, h, w, CLASSES), 'stem': stem[0], 'input': grads[0]}
    got.update(zip(('grad.' + name for name in names), grads[1:]))
    return {name: x.detach() for name, x in got.items()}, np.array([1, 1 - rows * columns / (h * w), first_column, first_row, columns, rows])


def case(name, cases, criterion):
    single = build(name)
    double = copy.deepcopy(single).double()
    B, H, W = cases['border'][:3]
    short = lambda name, x: digest(name, x)[:5]
    parameters = [n for n, _ in double.named_parameters()]
    logits, grads = run(double.eval(), values('input', (B, 3, H, W), 0, 1.7), values('upstream', (B, CLASSES), 0, 1))
    out = {'eval.logits': logits.numpy()}
    if name == 'rmt_n':
        out |= {'eval.grad_digest': np.stack([short(n, grads[n]) for n in parameters]), 'eval.input_digest': short('input', grads['input'])[None]}
    for key, setting in cases.items():
        got, mix = train(double, criterion, *setting)
        norms = [got['grad.' + n].norm().item() for n in parameters]
        print(f'  {key}: loss {got["loss"]:.6g}, mix {mix}, tokens rms {got["tokens"].square().mean().sqrt():.3g}, '
              f'gradients {min(norms):.1e} .. {np.median(norms):.1e} .. {max(norms):.1e}', flush=True)
        out |= {f'{key}.mix': mix, f'{key}.loss': got['loss'].numpy()[None], f'{key}.image': got['image'].numpy(), f'{key}.tokens': got['tokens'].numpy(),
                f'{key}.stem_digest': short('stem', got['stem'])[None], f'{key}.input_digest': short('input', got['input'])[None],
                f'{key}.grad_digest': np.stack([short(n, got['grad.' + n]) for n in parameters])}
        if name != 'rmt_n': continue
        rounded = train(single, criterion, *setting)[0]
        out |= {f'{key}.{n}_fp32_error': np.array([error(rounded[n], got[n])]) for n in ('loss', 'image', 'tokens', 'input')}
        out[f'{key}.fp32_error'] = np.array([error(rounded['grad.' + n], got['grad.' + n]) for n in parameters])
    names = ','.join(f'{n} {"x".join(map(str, x.shape))}' for n, x in double.state_dict().items())
    return out, names


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--official', required=True, metavar='DIR')
    p.add_argument('--only', default='', metavar='TEXT')
    p.add_argument('--out', default=os.path.dirname(os.path.abspath(__file__)), metavar='FOLDER')
    p.add_argument('--threads', type=int, default=2)
    a = p.parse_args()
    warnings.filterwarnings('ignore', message='.*meshgrid')
    torch.set_num_threads(a.threads)
    official.load(a.official)
    criterion = load_loss(a.official)
    for model, cases in CASES.items():
        name = 'token_label_' + model
        if a.only not in name: continue
        start = time.time()
        print(name, flush=True)
        tensors, names = case(model, cases, criterion)
        file = os.path.join(a.out, name + '.safetensors')
        save_file(tensors, file, metadata={'torch': torch.__version__.split('+')[0], 'names': names})
        print(f'  {time.time() - start:.1f} s, {os.path.getsize(file)} bytes', flush=True)


if __name__ == '__main__':
    main()
