"""Made-up face embeddings, bit for bit those of faceset_cluster::synthetic.

Only integer arithmetic, and IEEE additions, products, quotients and square
roots in the order of the Rust code are used; see there for what is modelled.

usage: synthetic.py N SEED OUT.f32 [one-person]
"""

import sys

import numpy as np

DIM = 512
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
SIZE, SHUFFLE, CENTRE, FAMILY, PARENT, ERA, FACE, NOISE, BLUR, COPY, SIGN = range(1, 12)


def mix(z):
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class Random:
    def __init__(self, seed, stream):
        one = mix(np.array([seed], np.uint64) + GOLDEN)
        self.key = mix(one + np.array([stream], np.uint64) * GOLDEN)

    def bits(self, at):
        at = np.atleast_1d(np.asarray(at, np.uint64))
        return mix(self.key + (at + np.uint64(1)) * GOLDEN)

    def unit(self, at):
        return (self.bits(at) >> np.uint64(11)).astype(np.float64) / 2.0**53

    def below(self, at, n):
        return self.bits(at) % np.asarray(n, np.uint64)

    def normal(self, at):
        bits = self.bits(at)
        total = sum((bits >> np.uint64(16 * k)) & np.uint64(0xFFFF) for k in range(4))
        return (total.astype(np.float64) - 131070.0) * (np.sqrt(3.0) / 65536.0)


def spectrum():
    weights = 1.0 / np.sqrt(1.0 + np.arange(DIM) / 50.0)
    square = 0.0
    for w in weights.tolist():
        square += w * w
    return weights / np.sqrt(square)


def people(n, one_person, seed):
    if one_person:
        return np.array([n], np.uint64)
    n_strangers = 22 * n // 100
    largest = max(6 * n // 100, 20)
    random = Random(seed, SIZE)
    sizes, left = [], n - n_strangers
    while left > 0:
        size = int(2.0 / (1.0 - float(random.unit(len(sizes))[0])))
        size = min(size, largest, left)
        sizes.append(size)
        left -= size
    return np.array(sizes + [1] * n_strangers, np.uint64)


def blend(a, x, b, y):
    return a[:, None] * x + b[:, None] * y


class Maker:
    def __init__(self, n, seed, one_person):
        self.seed = seed
        self.n = n
        self.spectrum = spectrum()
        self.sizes = people(n, one_person, seed)
        self.person = np.repeat(np.arange(len(self.sizes), dtype=np.uint64), self.sizes.astype(int))
        self.n_families = max(len(self.sizes) * 12 // 350, 1)

    def random(self, stream):
        return Random(self.seed, stream)

    def direction(self, stream, at):
        at = np.asarray(at, np.uint64)
        index = at[:, None] * np.uint64(DIM) + np.arange(DIM, dtype=np.uint64)[None]
        flat = self.random(stream).normal(index.ravel()).reshape(index.shape)
        return flat * self.spectrum

    def centre(self, person):
        own = self.direction(CENTRE, person)
        family = self.random(FAMILY)
        four = np.uint64(4) * person
        related = family.unit(four) < 0.12
        if related.any():
            at = four[related]
            which = family.below(at + np.uint64(1), self.n_families)
            share = 0.2 + 0.35 * family.unit(at + np.uint64(2))
            parent = self.direction(PARENT, which)
            own[related] = blend(np.sqrt(share), parent, np.sqrt(1.0 - share), own[related])
        return own

    def face(self, face):
        face = np.asarray(face, np.uint64)
        person = self.person[face.astype(int)]
        random = self.random(FACE)
        eight = np.uint64(8) * face
        centre = self.centre(person)
        size = self.sizes[person.astype(int)]
        n_eras = np.minimum(np.uint64(1) + size // np.uint64(12), np.uint64(8))
        n_eras[size < 8] = 1
        several = n_eras > 1
        if several.any():
            era = person[several] * np.uint64(8) + random.below(eight[several], n_eras[several])
            near = 0.86 + 0.11 * self.random(ERA).unit(era)
            drift = self.direction(ERA, era + np.uint64(1 << 32))
            centre[several] = blend(near, centre[several], np.sqrt(1.0 - near * near), drift)

        def best_of(at):
            a, b = eight + np.uint64(at), eight + np.uint64(at + 1)
            return np.maximum(random.unit(a), random.unit(b))

        quality = 0.56 + 0.18 * (best_of(1) + best_of(3))
        noise = self.direction(NOISE, face)
        values = blend(quality, centre, np.sqrt(1.0 - quality * quality), noise)
        blurry = random.unit(eight + np.uint64(5)) < 0.04
        if blurry.any():
            at = eight[blurry]
            pull = 0.45 + 0.35 * random.unit(at + np.uint64(6))
            blur = self.direction(BLUR, random.below(at + np.uint64(7), 3))
            values[blurry] = blend(np.sqrt(1.0 - pull * pull), values[blurry], pull, blur)
        return values

    def rows(self, face):
        face = np.asarray(face, np.uint64)
        copy = self.random(COPY)
        kind = copy.unit(np.uint64(2) * face)
        source = copy.below(np.uint64(2) * face + np.uint64(1), self.n)
        values = self.face(np.where(kind < 0.01, source, face))
        again = (kind >= 0.005) & (kind < 0.01)
        if again.any():
            noise = self.direction(NOISE, face[again] + np.uint64(self.n))
            fixed = np.full(again.sum(), 1.0)
            values[again] = blend(0.995 * fixed, values[again], 0.1 * fixed, noise)
        return rotate(values, self.random(SIGN)).astype(np.float32)


def rotate(values, signs):
    odd = (signs.bits(np.arange(DIM, dtype=np.uint64)) & np.uint64(1)) == 1
    values[:, odd] = -values[:, odd]
    half = 1
    while half < DIM:
        pairs = values.reshape(len(values), -1, 2, half)
        low, high = pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]
        values = np.stack([low, high], axis=2).reshape(len(values), DIM)
        half *= 2
    return values


def embeddings(n, seed, one_person=False):
    maker = Maker(n, seed, one_person)
    shuffle = maker.random(SHUFFLE)
    order = np.arange(n, dtype=np.uint64)
    at = np.arange(n, dtype=np.uint64)
    picks = shuffle.below(at, at + np.uint64(1)).astype(int)
    for i in range(n - 1, 0, -1):
        order[i], order[picks[i]] = order[picks[i]], order[i]
    blocks = [maker.rows(order[s : s + 2048]) for s in range(0, n, 2048)]
    return np.concatenate(blocks) if blocks else np.empty((0, DIM), np.float32)


if __name__ == "__main__":
    n, seed, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    embeddings(n, seed, len(sys.argv) > 4).tofile(out)
