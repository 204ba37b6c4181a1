"""The learned style engine: how near its pictures are to what they should be, how many are read, and how fast.

    python scripts/eval_style.py --config configs/style/srnet_light.yml --model output/style/srnet_light \
        --styles crops.styles --recogniser output/rec/tiny --corpus corpora/en.txt

The pairs are those of the configuration's Eval sources. Of the pictures that it makes in the styles of a store, and of
those that the drawn engine makes of the same texts and styles, a recogniser that has seen neither is asked what they
say; likewise of the pairs, and of what these should look like.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ocr import runtime

_WIDEST = 160  # pixels of a picture on the sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="training configuration with Eval sources")
    parser.add_argument("--model", type=Path, required=True, help="run, checkpoint or exported model")
    parser.add_argument("--styles", type=Path, help="store of styles")
    parser.add_argument("--recogniser", type=Path, help="run, checkpoint or exported model")
    parser.add_argument("--corpus", type=Path, nargs="+", default=[Path("corpora/en.txt")])
    parser.add_argument("--fonts", type=Path, nargs="*", default=[])
    parser.add_argument("--recipe", default="scene", help="of texts, fonts and legibility")
    parser.add_argument("--override", "-o", nargs="*", default=[])
    parser.add_argument("--count", type=int, default=256, help="pictures in styles")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--picture", type=Path, help="a sheet: look, plain text, what it should be, what it is")
    arguments = parser.parse_args()
    print(runtime.start(arguments.threads).header())

    import cv2
    import numpy as np

    from ocr.config import StyleConfig, load_config
    from ocr.infer.style import open_restyler
    from ocr.tasks.style import evaluate, unseen_pairs

    config = load_config(arguments.config)
    assert isinstance(config, StyleConfig)
    restyler = open_restyler(arguments.model, arguments.threads)
    unseen = unseen_pairs(config)
    figures = evaluate(restyler, unseen, config).figures
    print("pairs    " + ", ".join(f"{name} {value:.4f}" for name, value in figures.items()))
    pairs = [pair for _, found in unseen for pair in found]
    styles, targets = [pair.style for pair in pairs], [pair.target for pair in pairs]
    made = restyler.restyle(styles, targets)
    clock, processor = time.perf_counter(), time.process_time()
    restyler.restyle(styles, targets)
    seconds, work = time.perf_counter() - clock, time.process_time() - processor
    width = np.mean([target.shape[1] for target in targets])
    print(
        f"speed    {len(pairs) / seconds:.1f} pictures/s by the clock, {len(pairs) / work:.1f} for each second of "
        f"processor time; {restyler.height} pixels high, {width:.0f} wide in the mean"
    )
    if arguments.picture:
        shown = [
            (pair.style, np.repeat(pair.target[..., None], 3, 2), pair.fused, patch.image)
            for pair, patch in zip(pairs, made, strict=True)
            if pair.mask.shape[1] <= _WIDEST
        ]
        sheet = np.vstack([np.hstack([framed(part) for part in parts]) for parts in shown])
        cv2.imwrite(str(arguments.picture), cv2.resize(sheet, None, None, 2, 2, cv2.INTER_NEAREST))
    if arguments.recogniser is None:
        return

    from ocr.infer.backends import open_backend
    from ocr.infer.recogniser import Recogniser

    reader = Recogniser(open_backend(arguments.recogniser, arguments.threads))
    labels = [pair.label for pair in pairs]
    print(f"pairs    read right: {share(reader, [pair.fused for pair in pairs], labels)} as they should be")
    print(f"         read right: {share(reader, [patch.image for patch in made], labels)} as they are made")
    if arguments.styles is None:
        return

    from synth.pipeline import Pipeline
    from synth.recipe import Recipe
    from synth.style.learned import LearnedLines, bake

    with tempfile.TemporaryDirectory() as scratch:
        # Baked pictures are kept in the store: in a copy, for this leaves nothing behind.
        store = Path(scratch) / arguments.styles.name
        shutil.copytree(arguments.styles, store, ignore=shutil.ignore_patterns("learned"))
        overrides = [f"styles.stores=[{store}]", *arguments.override]
        fonts = {"paths": [str(path) for path in arguments.fonts]}
        recipe = Recipe.load(arguments.recipe, corpus=arguments.corpus, overrides=overrides, fonts=fonts)
        drawn = Pipeline(recipe).samples(range(arguments.count))
        lines = LearnedLines(recipe.with_keys("styles", model=arguments.model))
        clock = time.perf_counter()
        bake(lines, arguments.count)
        seconds = time.perf_counter() - clock
        print(f"baked    {arguments.count / seconds:.1f} pictures/s, refused ones included")
        learned = lines.samples(range(arguments.count))
    for name, samples in (("drawn", drawn), ("learned", learned)):
        styled = [sample for sample in samples if "style" in sample.meta]
        found = share(reader, [sample.image for sample in styled], [sample.text for sample in styled])
        refused = sum(len(sample.refusals) for sample in samples)
        print(f"{name:8} read right: {found}; {refused} attempts refused, {len(samples) - len(styled)} plain")


def framed(image: Any) -> Any:
    """A picture at the left of a white cell."""
    import numpy as np

    return np.pad(image, ((2, 2), (0, _WIDEST + 8 - image.shape[1]), (0, 0)), constant_values=255)


def share(reader: Any, images: Sequence[Any], labels: Sequence[str]) -> str:
    """Of pictures, how many are read as their labels say; and how many without regard to case."""
    read = [found.text for found in reader.read(images)]
    right = sum(one == other for one, other in zip(read, labels, strict=True))
    folded = sum(one.casefold() == other.casefold() for one, other in zip(read, labels, strict=True))
    return f"{right / len(labels):.1%} ({folded / len(labels):.1%} without regard to case) of {len(labels)}"


if __name__ == "__main__":
    main()
