"""Write the shapes that Latin letters have in fonts (`synth/fonts/letters.npz`) anew.

    python scripts/make_letter_shapes.py [DIR|FILE…]

Up to two faces of each family count; no paths: all fonts of this machine. Shapes are clustered letter by letter, faces
that hold something else are left out, and what is left is clustered again. Needs scikit-learn, which the product does
not.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import freetype
import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from tqdm import tqdm

from synth.fonts import letters
from synth.fonts.index import scan, sfnt_path

_CLUSTERS = 10
_EACH = 2


def clustered(pictures: NDArray[np.float32], there: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Centres of the shapes of every letter, capitals and small ones together, and their letters' numbers."""
    centres, whose = [], []
    for letter in range(26):
        found = np.concatenate([pictures[there[:, k], k] for k in (letter, letter + 26)])
        centre = KMeans(_CLUSTERS, n_init=3, random_state=0).fit(found).cluster_centers_
        centres.append(centre / np.linalg.norm(centre, axis=1, keepdims=True))
        whose += [letter] * len(centre)
    return np.concatenate(centres).astype(np.float32), np.array(whose)


def main() -> None:
    paths = [Path(path) for path in sys.argv[1:]]
    count: defaultdict[str, int] = defaultdict(int)
    pictures, there = [], []
    for info in tqdm(scan(paths or None).faces, desc="fonts", unit="face"):
        if not all(info.covers(ord(letter)) for letter in letters.LETTERS) or count[info.family] == _EACH:
            continue
        count[info.family] += 1
        picture, has = letters.shapes(freetype.Face(str(sfnt_path(info)), info.number))
        pictures.append(picture)
        there.append(has)
    faces, has = np.array(pictures), np.array(there)
    kept = np.ones(len(faces), bool)
    for _ in range(2):
        centres, whose = clustered(faces[kept], has[kept])
        right = np.array(
            [
                (whose[(f[h] @ centres.T).argmax(1)] == np.arange(52)[h] % 26).mean()
                for f, h in zip(faces, has, strict=True)
            ]
        )
        kept = right >= 0.5
    np.savez_compressed(letters.SHAPES, shapes=np.round(centres * 127).astype(np.int8), letters=whose.astype(np.int8))
    size = letters.SHAPES.stat().st_size
    print(f"{letters.SHAPES}: {len(centres)} shapes of {kept.sum():,} of {len(faces):,} faces, {size:,} bytes")


if __name__ == "__main__":
    main()
