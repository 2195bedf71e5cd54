#!/usr/bin/env python3
"""The official code's speed on a CPU, measured as rmt-bench measures ours: eager, f32, random images, median of the iterations; one JSON line.

    torch_bench.py --official DIR --model rmt_t --mode train|infer [--batch 8 --size 224 --iters 5 --warmup 2 --threads 2]
"""
import argparse, json, resource, statistics, time
import torch
import official


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--official', required=True)
    p.add_argument('--model', default='rmt_t')
    p.add_argument('--mode', choices=['train', 'infer'], default='infer')
    for name, value in (('batch', 8), ('size', 224), ('iters', 5), ('warmup', 2), ('threads', 2)):
        p.add_argument(f'--{name}', type=int, default=value)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    official.load(a.official)
    model = official.build(a.model)
    model.train(a.mode == 'train')
    images, labels = torch.randn(a.batch, 3, a.size, a.size), torch.randint(0, 1000, (a.batch,))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=.05)

    def step():
        if a.mode == 'infer':
            with torch.no_grad():
                model(images)
            return
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    for _ in range(a.warmup):
        step()
    seconds = []
    for _ in range(a.iters):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    print(json.dumps({'model': a.model, 'mode': a.mode, 'threads': a.threads, 'batch': a.batch, 'size': a.size, 'torch': torch.__version__,
                      'median_s': round(median, 6), 'images_per_s': round(a.batch / median, 2),
                      'peak_MiB': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, 'iters': a.iters}))


if __name__ == '__main__':
    main()
