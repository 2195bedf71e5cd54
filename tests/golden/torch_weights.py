#!/usr/bin/env python3
"""The whole circle of a model's weights, with the official PyTorch code on the other side:
official model -> torch.save -> rmt-classify; the same file -> rmt-convert -> PyTorch, strict=True. Prints the differences of the logits.

    torch_weights.py --official DIR [--model rmt_t] [--bin build/bin]

DIR may also hold the first release of the official code (commit c49b325).
"""
import argparse, json, os, subprocess, tempfile
import safetensors.torch, torch
import official


def checkpoint(model):
    """As main.py writes it, with random weights and statistics and a second, different set as the average."""
    torch.manual_seed(1)
    state = model.state_dict()
    for name, x in state.items():
        if 'Relpos' not in name and x.is_floating_point():
            x.copy_(torch.rand_like(x) + .5 if name.endswith('running_var') or x.ndim == 1 and name.endswith('weight') else x + .02 * torch.randn_like(x))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    model.train()(torch.randn(2, 3, 64, 64)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    average = {k: v + .01 * torch.randn_like(v) if v.is_floating_point() and 'Relpos' not in k and 'running' not in k else v.clone() for k, v in state.items()}
    return {'model': {k: v.clone() for k, v in state.items()}, 'optimizer': optimizer.state_dict(), 'lr_scheduler': {'base_values': [1e-3]}, 'epoch': 7, 'model_ema': average,
            'scaler': {'scale': 65536.}, 'args': argparse.Namespace(lr=1e-3, model=None, output_dir='x'), 'max_accuracy': 82.4}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--official', required=True)
    p.add_argument('--model', default='rmt_t')
    p.add_argument('--bin', default='build/bin')
    a = p.parse_args()
    official.load(a.official)
    if not hasattr(official.code, 'RMT_T3'):                   # the first release's names
        official.FACTORY = {'rmt_' + size.lower(): 'RMT_' + size for size in 'TSBL'}
    torch.manual_seed(0)
    model = official.build(a.model).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = lambda name: os.path.join(folder, name)
        run = lambda program, *args: subprocess.run([os.path.join(a.bin, program), *args], check=True, capture_output=True, text=True)
        saved = checkpoint(model)
        torch.save(saved, path('best.pth'))
        images = torch.randn(4, 3, 224, 224)
        safetensors.torch.save_file({'input': images.permute(0, 2, 3, 1).contiguous()}, path('in.safetensors'))

        def reference(state):
            model.load_state_dict(state, strict=True)
            with torch.no_grad():
                return model.eval()(images)

        def ours(weights):
            print(run('rmt-classify', '--checkpoint', weights, '--tensor', path('in.safetensors'), '--output-tensor', path('out.safetensors')).stderr.strip())
            return safetensors.torch.load_file(path('out.safetensors'))['logits']

        def report(what, x, y):
            print(f'{what}: largest difference {(x - y).abs().max():.2e} of logits up to {y.abs().max():.2f}, relative (2-norm) {(x - y).norm() / y.norm():.1e}')

        print(f'{os.path.getsize(path("best.pth")) / 1e6:.0f} MB')
        average = reference(saved['model_ema'])
        report('best.pth, model_ema: rmt against PyTorch', ours(path('best.pth')), average)
        print(run('rmt-convert', path('best.pth'), path('raw.safetensors'), '--key', 'model').stdout.strip())
        report('--key model: rmt against PyTorch', ours(path('raw.safetensors')), reference(saved['model']))
        print(run('rmt-convert', path('best.pth'), path('hub')).stdout.strip())
        print(json.load(open(path('hub/config.json'))))
        back = safetensors.torch.load_file(path('hub/model.safetensors'))
        print('bits equal:', all(torch.equal(back[k], v) for k, v in saved['model_ema'].items()) and len(back) == len(saved['model_ema']))
        report('hub/model.safetensors: PyTorch, strict=True, against before', reference(back), average)
        report('hub/: rmt against PyTorch', ours(path('hub')), average)


if __name__ == '__main__':
    main()
