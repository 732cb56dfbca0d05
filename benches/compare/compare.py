"""Runs faceset-cluster and its peers on the same rows, one process each, and
prints wall time, CPU time, peak memory, ratios and whether the groups are the
same.

usage: compare.py [--sizes 5000,20000] [--peers scikit-learn,fastcluster,...]
                  [--kernels amx,avx512-vnni] [--work DIR] [--rows CACHE.npz|FILE.f32]

Needs cargo and Python 3; scikit-learn and fastcluster are installed with pip
into a virtual environment below DIR, kodama comes with `cargo build`. Rows are
made up (synthetic.py, seed 1) unless --rows names a record cache or a file of
512 f32 a row. "CPU s" covers the clustering call only; "process" is what the
operating system counted for the whole process, reading the rows included (ours
and kodama's only). The ratio compares calls with calls.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = ["scikit-learn", "fastcluster", "kodama-f64", "kodama-f32"]

CHILD = r"""
import json, resource, sys, time
import numpy as np
method, rows_path, out, threshold = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
rows = np.fromfile(rows_path, np.float32).reshape(-1, 512)
if method == "scikit-learn":
    from sklearn.cluster import AgglomerativeClustering
    model = AgglomerativeClustering(n_clusters=None, metric="cosine", linkage="average",
                                    distance_threshold=threshold)
else:
    import fastcluster
    from scipy.cluster.hierarchy import fcluster
def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
wall0, cpu0 = time.time(), cpu()
if method == "scikit-learn":
    labels = model.fit(rows).labels_
else:
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    n = len(unit)
    distances = np.empty(n * (n - 1) // 2)
    at = 0
    for start in range(0, n, 512):
        products = 1.0 - (unit[start:start + 512] @ unit[start:].T).astype(np.float64)
        for i in range(len(products)):
            row = products[i, i + 1:]
            distances[at:at + len(row)] = np.maximum(row, 0.0)
            at += len(row)
    tree = fastcluster.linkage(distances, "average", preserve_input=False)
    labels = fcluster(tree, np.nextafter(threshold, 0), "distance")
figures = dict(wall=time.time() - wall0, cpu=cpu() - cpu0,
               peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
labels.astype("<u4").tofile(out)
print(json.dumps(figures))
"""


def run_ours(binary, method, rows, out, threshold, extra=()):
    """One process from start to end, as the operating system saw it."""
    command = [binary, method, "--rows", rows, "--out", out, "--threshold", threshold, *extra]
    start = time.time()
    child = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, text=True)
    words = child.stdout.read().split()
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        return None
    process = usage.ru_utime + usage.ru_stime
    cpu = float(words[words.index("cpu_s") + 1])
    if cpu != cpu:
        cpu = process
    return dict(wall=time.time() - start, cpu=cpu, process=process,
                peak_mb=usage.ru_maxrss / 1024)


def run_python(python, method, rows, out, threshold):
    command = [python, "-c", CHILD, method, str(rows), str(out), str(threshold)]
    child = subprocess.run(command, capture_output=True, text=True)
    if child.returncode != 0:
        print(f"{method} died: {child.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return json.loads(child.stdout)


def read_labels(path):
    data = Path(path).read_bytes()
    return memoryview(data).cast("I").tolist()


def same_groups(a, b):
    pairs = len(set(zip(a, b)))
    return len(a) == len(b) and pairs == len(set(a)) == len(set(b))


def peers_python(work):
    home = work / "venv"
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
    pip = [python, "-m", "pip", "install", "--quiet", "scikit-learn", "fastcluster"]
    subprocess.run(pip, check=True)
    return python


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="5000,20000")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--kernels", default="")
    parser.add_argument("--work", default=str(ROOT / "target" / "compare"))
    parser.add_argument("--rows")
    parser.add_argument("--threshold", default="0.55")
    args = parser.parse_args()
    work = Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    peers = [p for p in args.peers.split(",") if p]
    kernels = [k for k in args.kernels.split(",") if k] or ["best"]

    build = ["cargo", "build", "--release", "--quiet", "-p", "faceset-benches"]
    subprocess.run(build, check=True, cwd=ROOT)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    binary = target / "release" / "measure"
    needs_python = any(p in ("scikit-learn", "fastcluster") for p in peers)
    python = peers_python(work) if needs_python else None

    print(f"{'n':>7} {'method':<22} {'wall s':>8} {'CPU s':>8} {'process':>8} {'peak MB':>8} "
          f"{'CPU ratio':>9}  groups")
    sizes = ["file"] if args.rows else args.sizes.split(",")
    for size in sizes:
        rows = Path(args.rows) if args.rows else work / f"{size}.f32"
        if rows.suffix == ".npz":
            plain = work / "cache.f32"
            make = [binary, "rows", "--rows", rows, "--out", plain]
            subprocess.run([str(c) for c in make], check=True)
            rows = plain
        if not rows.exists():
            make = [binary, "rows", "--n", size, "--seed", "1", "--out", rows]
            subprocess.run([str(c) for c in make], check=True)
        if args.rows:
            size = rows.stat().st_size // (4 * 512)
        ours, labels = None, None
        for kernel in kernels:
            out = work / "ours.labels"
            extra = [] if kernel == "best" else ["--kernel", kernel]
            figures = run_ours(binary, "ours", rows, out, args.threshold, extra)
            if figures is None:
                print(f"{size:>7} ours {kernel}: not available here")
                continue
            found = read_labels(out)
            same = "reference" if labels is None else same_groups(labels, found)
            if ours is None:
                ours, labels = figures, found
            report(size, f"ours ({kernel})", figures, ours, same)
        for peer in peers:
            out = work / "peer.labels"
            out.unlink(missing_ok=True)
            if peer.startswith("kodama"):
                figures = run_ours(binary, peer, rows, out, args.threshold)
            else:
                figures = run_python(python, peer, rows, out, args.threshold)
            if figures is None:
                print(f"{size:>7} {peer:<22} died (out of memory?)")
                continue
            report(size, peer, figures, ours, same_groups(labels, read_labels(out)))


def report(size, name, figures, ours, same):
    groups = {True: "identical", False: "DIFFERENT"}.get(same, same)
    print(f"{size:>7} {name:<22} {figures['wall']:8.2f} {figures['cpu']:8.3f} "
          f"{figures.get('process', float('nan')):8.2f} "
          f"{figures['peak_mb']:8.0f} {figures['cpu'] / ours['cpu']:8.1f}x  {groups}", flush=True)


main()
