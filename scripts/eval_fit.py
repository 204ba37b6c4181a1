"""How much nearer a fitted recipe is to real crops that the fit has not seen, by scikit-learn's gradient boosting.

    python scripts/eval_fit.py --real crops/ --base document --corpus fr.txt --fonts fonts/ --output mine.yml

Half of the crops, chosen by the seed, are fitted, their pictures alone; the other half measures. Labels are not looked
at. Needs scikit-learn, which the product does not.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from tqdm import tqdm

from synth.recipe import Recipe
from synth.report.preview import write_whole
from synth.style.crops import Crop, find_crops
from synth.style.fit import fit, measure_crops, samples_drawn
from synth.style.fit_report import summary, write_recipe, write_report
from synth.style.measure import Measures
from synth.style.twosample import Rows


def auc(real: Rows, made: Rows, seed: int) -> tuple[float, float, list[float]]:
    """Area under the curve of cross-validated scores in the middle of five shufflings, their range, and all of them."""
    rows, truth = np.concatenate((real, made)), np.repeat((0, 1), (len(real), len(made)))
    found = []
    for k in range(5):
        folds = StratifiedKFold(5, shuffle=True, random_state=seed + k)
        model = HistGradientBoostingClassifier(random_state=seed + k)
        scores = cross_val_predict(model, rows, truth, cv=folds, method="predict_proba")[:, 1]
        found.append(float(roc_auc_score(truth, scores)))
    return float(np.median(found)), max(found) - min(found), found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--base", default="document")
    parser.add_argument("--corpus", type=Path, nargs="*", default=[])
    parser.add_argument("--fonts", type=Path, nargs="*", default=[])
    parser.add_argument("--output", type=Path, required=True, help="the fitted recipe; the report lies beside it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=600, help="crops of each half that are looked at")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(options.seed)
    base = Recipe.load(options.base, corpus=options.corpus)
    if options.fonts:
        base = base.with_keys("fonts", paths=options.fonts)
    crops = [Crop(crop.path, crop.name, "") for crop in find_crops(options.real)]
    order = rng.permutation(len(crops)).tolist()
    halves = [sorted(order[: len(order) // 2])[: options.most], sorted(order[len(order) // 2 :])[: options.most]]
    seen, unseen = (
        measure_crops([crops[k] for k in half], base.layout.height, base.corpus.unit, rng, str(options.real))
        for half in halves
    )
    start = time.process_time()
    with tqdm(total=samples_drawn(options.rounds), desc="samples", disable=None, leave=False) as bar:
        found = fit(base, seen, seed=options.seed, rounds=options.rounds, step=bar.update)
    seconds = time.process_time() - start
    write_recipe(found, options.output, options.real.name)
    report = options.output.with_suffix(".html")
    write_report(found, report, options.real.name)
    print(summary(found, options.output, report, ""), end="")
    print(f"\n{len(seen.rows)} crops fitted, {len(unseen.rows)} others compared, {seconds:.0f} s of one core")
    lines = ["| AUC, other half | HistGradientBoosting (range of 5 shufflings) |", "|---|---|"]
    for name, rows in zip(("base", "fitted"), found.rows, strict=True):
        middle, spread, _ = auc(unseen.rows[:, found.used], rows[:, found.used], options.seed)
        lines.append(f"| {name} | {middle:.3f} ({spread:.3f}) |")
    halved = [unseen.rows[::2], unseen.rows[1::2]]
    middle, spread, _ = auc(halved[0][:, found.used], halved[1][:, found.used], options.seed)
    lines.append(f"| real against real | {middle:.3f} ({spread:.3f}) |")
    print("\n".join(lines))
    columns = ["measure", "real 10 %", "50 %", "90 %", "fitted 10 %", "50 %", "90 %"]
    table = ["\t".join(columns)]
    for k, name in enumerate(Measures.names()):
        values = [np.quantile(rows[:, k], (0.1, 0.5, 0.9)) for rows in (unseen.rows, found.rows[1])]
        table.append("\t".join([name, *(f"{value:.3f}" for part in values for value in part)]))
    write_whole(options.output.with_suffix(".tsv"), ("\n".join(table) + "\n").encode())


if __name__ == "__main__":
    main()
