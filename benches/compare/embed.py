#!/usr/bin/env python3
"""Embed the same photos with PyPI insightface and with face-sets, in turn.

  embed.py --ours BIN --library LIBRARY --scrfd scrfd_2.5g_kps.onnx \\
           --recognizer fr_feature.onnx --photos FOLDER [--rounds 3] [--json OUT]

BIN is `cargo build --release -p faceset-benches --bin embed`. LIBRARY is the ONNX
Runtime library of our side; Python loads the one of its own package, and the
script refuses two versions that differ. Both sides get the same photos, the same
detector at 640 (score 0.5) and the same recogniser.

Photos: at least --count of --least to --most megapixels, taken from FOLDER and
scaled up where they are smaller (Lanczos, JPEG quality 92); FOLDER may be a set of
your own, or `samples/sources` of set-up. What is made goes to --work.

Each round runs, one after the other, each in a process of its own:
  python-shipped    insightface, its default threads, model files as they come
  python-repaired   the same with tiny weights zeroed and PReLU split
  python-one        the repaired models, one thread
  python-two        the same, detector at 128 and 640: insightface's default pair
  ours-1, ours-2    one worker, two workers
  ours-rect         one worker, rectangular detector input
  ours-two          one worker, detector at 128 and 640, compared with python-two
  ours-fast         one worker, big JPEGs decoded smaller
  ours-openvino     one worker, with --openvino LIBRARY (not the same library)
  ours-rten         one worker, the kernels that are compiled in, with --rten
The median of the rounds counts. Processor time is what a process used; on a
machine with other work wall time only tells how busy it was.

Needs a virtual environment of its own; --venv FOLDER makes one by pip with
  insightface==2.1 onnxruntime==1.31.1 opencv-python-headless==4.11.0.86 onnx
and runs itself in it.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

import packs

PACKAGES = ["insightface==2.1", "onnxruntime==1.31.1", "opencv-python-headless==4.11.0.86", "onnx"]


def make_photos(args):
    """The list of photos, made once: sizes spread evenly over least to most."""
    import cv2

    os.makedirs(args.work, exist_ok=True)
    sources = sorted(
        os.path.join(d, f) for d, _, files in os.walk(args.photos) for f in files
        if f.lower().endswith((".jpg", ".jpeg", ".png")))
    if not sources:
        sys.exit(f"no photos in {args.photos}")
    # Like a camera's: sides from 6:5 to 2:1. Every n-th, so that all folders take part.
    like_camera = []
    for source in sources:
        picture = cv2.imread(source, cv2.IMREAD_REDUCED_GRAYSCALE_8)
        if picture is not None and 1.2 <= max(picture.shape) / max(1, min(picture.shape)) <= 2:
            like_camera.append(source)
    sources = like_camera or sources
    step = max(1, len(sources) // args.count)
    chosen = (sources[::step] * args.count)[:args.count]
    made = []
    for i, source in enumerate(chosen):
        target = os.path.join(args.work, f"{i:03}.jpg")
        if not os.path.exists(target):
            picture = cv2.imread(source)
            if picture is None:
                continue
            pixels = (args.least + (args.most - args.least) * i / max(1, args.count - 1)) * 1e6
            scale = (pixels / (picture.shape[0] * picture.shape[1])) ** 0.5
            size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
            cv2.imwrite(target, cv2.resize(picture, size, interpolation=cv2.INTER_LANCZOS4),
                        [cv2.IMWRITE_JPEG_QUALITY, 92])
        made.append(target)
    return made


def repaired(path, folder):
    """The model with tiny weights zeroed and PReLU split, as our repairs do it."""
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(path)
    graph = model.graph
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32:
            values = np.where(np.abs(values) < 1e-15, np.float32(0), values)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    stored = {t.name: t for t in graph.initializer}
    nodes = []
    for i, node in enumerate(graph.node):
        if node.op_type != "PRelu" or node.input[1] not in stored:
            nodes.append(node)
            continue
        slope = numpy_helper.to_array(stored[node.input[1]]).reshape(-1, 1, 1, 1)
        n, x, out, p = slope.shape[0], node.input[0], node.output[0], f"split{i}"
        graph.initializer.append(numpy_helper.from_array(-np.ones_like(slope), p + "minus"))
        graph.initializer.append(numpy_helper.from_array(-slope, p + "slope"))
        del_slope = stored[node.input[1]]
        conv = lambda a, w, b: helper.make_node("Conv", [a, w], [b], group=n, kernel_shape=[1, 1])
        nodes += [helper.make_node("Relu", [x], [p + "up"]), conv(x, p + "minus", p + "turned"),
                  helper.make_node("Relu", [p + "turned"], [p + "down"]),
                  conv(p + "down", p + "slope", p + "scaled"),
                  helper.make_node("Add", [p + "up", p + "scaled"], [out])]
        if del_slope in graph.initializer:
            graph.initializer.remove(del_slope)
    del graph.node[:]
    graph.node.extend(nodes)
    target = os.path.join(folder, "repaired-" + os.path.basename(path))
    onnx.save(model, target)
    return target


def any_size(path, folder):
    """The detector with free height and width: insightface looks at a second size
    only with such a file."""
    import onnx

    model = onnx.load(path)
    del model.graph.value_info[:]
    for value, names in [(model.graph.input[0], (None, None, "height", "width"))] + [
            (output, ("n", None, None)) for output in model.graph.output]:
        for dim, name in zip(value.type.tensor_type.shape.dim, names):
            if name:
                dim.dim_param = name
    target = os.path.join(folder, "any-size-" + os.path.basename(path))
    onnx.save(model, target)
    return target


def python_side(scrfd, recognizer, threads, sizes, photos):
    """insightface's own classes over the photos; prints one JSON object."""
    import cv2
    import numpy as np
    import onnxruntime
    from insightface.model_zoo.scrfd import SCRFD
    from insightface.utils import face_align

    def session(path):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        if threads:
            options.intra_op_num_threads = threads
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    if threads:
        cv2.setNumThreads(threads)
    detector = SCRFD(model_file=scrfd, session=session(scrfd))
    sizes = [(size, size) for size in sizes]
    detector.prepare(-1, input_size=sizes, det_thresh=0.5, nms_thresh=0.4)
    net = session(recognizer)
    name = net.get_inputs()[0].name
    detector.detect(np.zeros((480, 640, 3), np.uint8), input_size=sizes)
    net.run(None, {name: np.zeros((1, 3, 112, 112), np.float32)})
    status = open("/proc/self/status", encoding="ascii").read()
    loaded = int(status.split("VmRSS:")[1].split()[0])
    split = dict.fromkeys(["read", "decode", "detect", "align", "embed"], 0.0)
    start, cpu = time.perf_counter(), time.process_time()
    found = []
    mark = time.process_time()

    def lap(part):
        nonlocal mark
        now = time.process_time()
        split[part] += now - mark
        mark = now

    for photo in photos:
        picture = cv2.imread(photo)
        lap("decode")
        boxes, points = detector.detect(picture, input_size=sizes)
        lap("detect")
        faces = []
        for box, kps in zip(boxes, points):
            crop = face_align.norm_crop(picture, landmark=kps, image_size=112)
            lap("align")
            blob = (crop.astype(np.float32) - 127.0) / 128.0
            raw = net.run(None, {name: blob.transpose(2, 0, 1)[None]})[0][0]
            faces.append({"bbox": box[:4].tolist(), "kps": kps.tolist(), "score": float(box[4]),
                          "embedding": (raw / np.linalg.norm(raw)).tolist()})
            lap("embed")
        found.append(faces)
    print(json.dumps({
        "wall": time.perf_counter() - start, "cpu": time.process_time() - cpu, "split": split,
        "faces": found, "loaded_kib": loaded,
        "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))


def sgemm_rate():
    """GFLOP a second of one thread in the runtime's own matrix product."""
    import numpy as np
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    n = 1024
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [n, n])
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "g",
                              [value("a"), value("b")], [value("c")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    feed = {k: np.random.default_rng(1).standard_normal((n, n)).astype(np.float32) for k in "ab"}
    session.run(None, feed)
    best = min(_cpu(lambda: session.run(None, feed)) for _ in range(15))
    return 2 * n ** 3 / best / 1e9


def _cpu(work):
    start = time.process_time()
    work()
    return time.process_time() - start


def gflop(path):
    """Of one run: two for each multiplication of a convolution or product."""
    import onnx
    from onnx import shape_inference

    model = shape_inference.infer_shapes(onnx.load(path))
    graph = model.graph
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
              for v in list(graph.value_info) + list(graph.output) + list(graph.input)}
    weights = {t.name: list(t.dims) for t in graph.initializer}
    total = 0
    for node in graph.node:
        if node.op_type == "Conv" and node.input[1] in weights and shapes.get(node.output[0]):
            out, weight = shapes[node.output[0]], weights[node.input[1]]
            total += 2 * out[1] * out[2] * out[3] * weight[1] * weight[2] * weight[3]
    return total / 1e9


def iou(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = lambda c: (c[2] - c[0]) * (c[3] - c[1])
    return width * height / (area(a) + area(b) - width * height)


def parity(theirs, mine):
    ious, cosines, lost, extra = [], [], 0, 0
    for a, b in zip(theirs, mine):
        left = list(b or [])
        for face in a:
            best = max(left, key=lambda f: iou(face["bbox"], f["bbox"]), default=None)
            if best is None or iou(face["bbox"], best["bbox"]) < 0.5 or best["embedding"] is None:
                lost += 1
                continue
            left.remove(best)
            ious.append(iou(face["bbox"], best["bbox"]))
            cosines.append(sum(x * y for x, y in zip(face["embedding"], best["embedding"])))
        extra += len(left)
    return {"matched": len(ious), "only_insightface": lost, "only_ours": extra,
            "iou_median": statistics.median(ious), "iou_worst": min(ious),
            "cosine_median": statistics.median(cosines), "cosine_worst": min(cosines)}


def in_venv(folder):
    """Makes the environment and starts over in it."""
    python = os.path.join(folder, "bin", "python")
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
    rest = [a for i, a in enumerate(sys.argv[1:])
            if a != "--venv" and (i == 0 or sys.argv[i] != "--venv")]
    os.execv(python, [python, os.path.abspath(__file__), *rest])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--venv")
    parser.add_argument("--ours")
    parser.add_argument("--library")
    parser.add_argument("--scrfd", required=True)
    parser.add_argument("--recognizer", required=True)
    parser.add_argument("--photos")
    parser.add_argument("--work", default="bench-embed")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--least", type=float, default=1.0)
    parser.add_argument("--most", type=float, default=14.0)
    parser.add_argument("--fast-edge", type=int, default=1280)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--openvino")
    parser.add_argument("--rten", action="store_true")
    parser.add_argument("--only", help="names of runs, separated by commas")
    parser.add_argument("--json")
    parser.add_argument("--python-side", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--sizes", type=int, nargs="+", default=[640], help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.venv:
        in_venv(args.venv)
    if args.python_side is not None:
        python_side(args.scrfd, args.recognizer, args.threads, args.sizes, args.python_side)
        return 0

    import cv2
    import onnxruntime

    if onnxruntime.__version__ not in os.path.basename(args.library):
        sys.exit(f"Python's ONNX Runtime is {onnxruntime.__version__}, ours {args.library}")
    photos = make_photos(args)
    models = os.path.join(args.work, "models")
    os.makedirs(models, exist_ok=True)
    for path in (args.scrfd, args.recognizer):
        link = os.path.join(models, os.path.basename(path))
        if not os.path.exists(link):
            os.symlink(os.path.abspath(path), link)
    pack = os.path.join(args.work, "bench.toml")
    packs.write(pack, "bench", args.scrfd, args.recognizer, ["zero-tiny-weights", "split-prelu"])
    fixed = repaired(args.recognizer, args.work)
    ours = [args.ours, "--library", args.library, "--pack", pack, "--models", models]
    free = any_size(args.scrfd, args.work)
    theirs = lambda recognizer, threads, sizes=(640,): [
        sys.executable, os.path.abspath(__file__), "--scrfd",
        args.scrfd if len(sizes) == 1 else free, "--recognizer",
        recognizer, "--threads", str(threads), "--sizes", *map(str, sizes), "--python-side"]
    runs = {
        "python-shipped": theirs(args.recognizer, 0),
        "python-repaired": theirs(fixed, 0),
        "python-one": theirs(fixed, 1),
        "python-two": theirs(fixed, 1, (128, 640)),
        "ours-1": ours + ["--workers", "1"],
        "ours-2": ours + ["--workers", "2"],
        "ours-rect": ours + ["--workers", "1", "--variant", "rect"],
        "ours-two": ours + ["--workers", "1", "--variant", "two-sizes"],
        "ours-fast": ours + ["--workers", "1", "--fast-decode", str(args.fast_edge)],
    }
    if args.openvino:
        runs["ours-openvino"] = [args.ours, "--library", args.openvino, "--provider", "openvino",
                                 "--pack", pack, "--models", models]
    if args.rten:
        runs["ours-rten"] = [args.ours, "--pack", pack, "--models", models]
    if args.only:
        runs = {name: runs[name] for name in args.only.split(",")}
    rounds = {name: [] for name in runs}
    for _ in range(args.rounds):
        for name, command in runs.items():
            done = subprocess.run(command + photos, check=True, stdout=subprocess.PIPE)
            rounds[name].append(json.loads(done.stdout))
    rate, work = sgemm_rate(), (gflop(args.scrfd), gflop(args.recognizer))
    sizes = [cv2.imread(p).shape[0] * cv2.imread(p).shape[1] / 1e6 for p in photos]
    n = len(photos)
    result = {"photos": n, "megapixels": [min(sizes), statistics.median(sizes), max(sizes)],
              "rounds": args.rounds, "sgemm_gflops": rate, "opencv": cv2.__version__,
              "onnxruntime": onnxruntime.__version__, "runs": {}}
    print(f"{n} photos of {min(sizes):.1f} to {max(sizes):.1f} MP (median {statistics.median(sizes):.1f}), "
          f"{args.rounds} rounds; one thread's sgemm {rate:.0f} GFLOP/s")
    print("run               img/s   CPU ms  decode detect align embed   peak MiB over models  at limit")
    for name, all_rounds in rounds.items():
        middle = lambda pick: statistics.median(pick(r) for r in all_rounds)
        faces = sum(len(f or []) for f in all_rounds[0]["faces"])
        parts = {k: middle(lambda r: r["split"][k]) / n * 1e3 for k in all_rounds[0]["split"]}
        limit = (work[0] * n + work[1] * faces) / rate / n * 1e3
        row = {
            "images_per_s": n / middle(lambda r: r["wall"]), "faces": faces,
            "cpu_ms": middle(lambda r: r["cpu"]) / n * 1e3, "split_ms": parts,
            "images_per_s_rounds": [n / r["wall"] for r in all_rounds],
            "cpu_ms_rounds": [r["cpu"] / n * 1e3 for r in all_rounds],
            "peak_mib_over_models": middle(lambda r: (r["peak_kib"] - r["loaded_kib"]) / 1024),
            "share_of_sgemm": limit / (parts["detect"] + parts["embed"]),
        }
        result["runs"][name] = row
        print(f"{name:16} {row['images_per_s']:6.2f} {row['cpu_ms']:8.1f}  {parts['decode']:6.1f} "
              f"{parts['detect']:6.1f} {parts['align']:5.1f} {parts['embed']:5.1f} "
              f"{row['peak_mib_over_models']:12.0f} {row['share_of_sgemm']:16.2f}")
    for name in runs:
        other = "python-two" if name == "ours-two" else "python-one"
        if name.startswith("ours") and other in rounds:
            reference = rounds[other][0]["faces"]
            result["runs"][name]["parity"] = parity(reference, rounds[name][0]["faces"])
            print(name, json.dumps(result["runs"][name]["parity"]))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=2)
            file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
