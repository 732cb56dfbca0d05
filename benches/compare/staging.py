"""Staging an Immich library: immich-stage beside the same work done in Python.

The peer is what one would write with requests and a pool of 8 threads, one session each:
page through the library, ask for the faces of every photo, keep those with a box of 90 px
or more, fetch the original, hash it, write it, append a line to the state. Both talk to
the same fake server (crates/immich-fake/examples/serve.rs) with the same added latency.

    cargo build --release -p immich-stage
    cargo build --release -p immich-fake --example serve
    python benches/compare/staging.py --assets 54000 --latency-ms 20

Needs requests. Prints items per second and peak memory of both; `--ours-only` leaves the
peer out and `--peer-only` us, `--v3` imitates a server that sends no faces with its listing,
so that both have to ask for them photo by photo. `--cache FILE` gives us a cache to compare
with (`cargo run --release -p faceset-cache --example measure -- FOLDER FACES enriched write`
makes one). There is no time limit: the peer takes about 5 minutes for 54,000 assets on a
quiet machine. The load of the machine before and after is printed with the figures.
"""

import argparse
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def peer(url, key, out, workers):
    """The same work with requests; returns (seen, staged)."""
    import requests

    local = threading.local()
    lock = threading.Lock()
    seen_hashes = set()
    counts = {"seen": 0, "staged": 0}
    state = open(out / "state.jsonl", "a")

    def session():
        if not hasattr(local, "session"):
            local.session = requests.Session()
            local.session.headers["x-api-key"] = key
        return local.session

    def one(asset):
        faces = session().get(f"{url}/api/faces", params={"id": asset["id"]}, timeout=60)
        faces.raise_for_status()
        exif = asset.get("exifInfo") or {}
        long_edge = max(exif.get("exifImageWidth") or 0, exif.get("exifImageHeight") or 0)
        best = 0
        for face in faces.json():
            factor = long_edge / max(face["imageWidth"], face["imageHeight"], 1)
            width = face["boundingBoxX2"] - face["boundingBoxX1"]
            height = face["boundingBoxY2"] - face["boundingBoxY1"]
            best = max(best, min(width, height) * factor)
        status = "small_face"
        if best >= 90:
            answer = session().get(f"{url}/api/assets/{asset['id']}/original", timeout=60)
            answer.raise_for_status()
            sha256 = hashlib.sha256(answer.content).hexdigest()
            with lock:
                new = sha256 not in seen_hashes
                seen_hashes.add(sha256)
            status = "dup_internal"
            if new:
                status = "staged"
                rel = asset["originalPath"].split("/anna/", 1)[1]
                path = out / "immich" / rel
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(answer.content)
        with lock:
            counts["seen"] += 1
            counts["staged"] += status == "staged"
            state.write(json.dumps({"asset_id": asset["id"], "status": status}) + "\n")
            state.flush()

    with ThreadPoolExecutor(workers) as pool:
        page = 1
        while page:
            body = {"type": "IMAGE", "size": 1000, "page": page, "withExif": True}
            answer = session().post(f"{url}/api/search/metadata", json=body, timeout=120)
            answer.raise_for_status()
            assets = answer.json()["assets"]
            list(pool.map(one, assets["items"]))
            page = int(assets["nextPage"] or 0)
    return counts["seen"], counts["staged"]


def timed(command, env):
    """Runs a program; returns its output, seconds, CPU seconds and peak memory in MB."""
    began = time.monotonic()
    child = subprocess.Popen(command, env=env, stdout=subprocess.PIPE)
    out = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{command[0]} ended with {child.returncode}: {out.decode()}")
    return out, time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=54000)
    parser.add_argument("--bytes", type=int, default=200_000, help="size of a staged original")
    parser.add_argument("--latency-ms", type=int, default=20)
    parser.add_argument("--staged-share", type=int, default=19, help="percent with a big face")
    parser.add_argument("--threads", type=int, default=8, help="of the peer")
    parser.add_argument("--ours-only", action="store_true")
    parser.add_argument("--peer-only", action="store_true")
    parser.add_argument("--cache", help="a cache for --cache of immich-stage")
    parser.add_argument("--v3", action="store_true")
    parser.add_argument("--serve", default=TARGET / "release/examples/serve")
    parser.add_argument("--stage", default=TARGET / "release/immich-stage")
    parser.add_argument("--as-peer", nargs=3, metavar=("URL", "KEY", "OUT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.as_peer:
        url, key, out = args.as_peer
        seen, staged = peer(url, key, pathlib.Path(out), args.threads)
        print(json.dumps({"seen": seen, "staged": staged}))
        return

    serve = [args.serve, "--assets", str(args.assets), "--bytes",
             str(args.bytes), "--latency-ms", str(args.latency_ms), "--staged-share",
             str(args.staged_share)] + (["--v3"] if args.v3 else [])
    server = subprocess.Popen(serve, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    hello = json.loads(server.stdout.readline())

    def requests_so_far():
        server.stdin.write("count\n")
        server.stdin.flush()
        return json.loads(server.stdout.readline())

    work = pathlib.Path(tempfile.mkdtemp(prefix="staging-bench-"))
    env = dict(os.environ, IMMICH_URL=hello["url"], IMMICH_API_KEY=hello["key"])
    rows = []
    loads = [os.getloadavg()[0]]
    try:
        requests_so_far()
        stage = [args.stage, "--root", work / "ours", "--user", "anna",
                 "--no-log", "--progress", "never", "--json"]
        stage += ["--cache", args.cache] if args.cache else []
        for name in () if args.peer_only else ("first run", "second run"):
            out, seconds, cpu, peak = timed(stage, env)
            report = json.loads(out)
            staged = report["counts"].get("staged", 0)
            rows.append((f"immich-stage, {name}", report["seen"], staged, seconds, cpu, peak,
                         requests_so_far(), report["workers"]))
        if not args.ours_only:
            (work / "peer").mkdir()
            command = [sys.executable, __file__, "--threads", str(args.threads), "--as-peer",
                       hello["url"], hello["key"], work / "peer"]
            out, seconds, cpu, peak = timed(command, env)
            report = json.loads(out)
            rows.append((f"requests, {args.threads} threads", report["seen"], report["staged"],
                         seconds, cpu, peak, requests_so_far(), args.threads))
    finally:
        server.stdin.close()
        server.wait()
        shutil.rmtree(work)
    loads.append(os.getloadavg()[0])
    print(f"{os.cpu_count()} cores, load {loads[0]:.1f} before and {loads[1]:.1f} after")
    print("| client | assets | staged | s | assets/s | CPU s | peak MB | searches / faces / "
          "originals / twice | at once |")
    print("|" + "---|" * 9)
    for name, seen, staged, seconds, cpu, peak, n, workers in rows:
        print(f"| {name} | {seen} | {staged} | {seconds:.1f} | {seen / seconds:.0f} | {cpu:.1f} | "
              f"{peak:.0f} | {n['searches']} / {n['faces']} / {n['originals']} / "
              f"{n['originals_twice']} | {workers} |")


if __name__ == "__main__":
    main()
