"""How well Ki-67 could be told from the phantom's images if they had neither noise nor shading.

    python benchmarks/phantom_ki67.py [--preset reference] [--per-center 450] [--workers 2]

The exact posterior knows the phantom's traits themselves. An image shows the transfer constant as
the signal of a heterogeneous core of finite size, examined after an unknown time with an unknown
dose. This takes the true signal of every voxel of the tumor, its receive gain known, and fits ridge
regressions per center, on 200 patients of each; prints R² of the transfer constant and the error of
Ki-67 on the others, the mean of five random choices.
"""

import numpy as np
from phantom_statistics import CENTERS, SEED, TO_FIT, arguments_of, patients

RIM_MM = 2.5
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
PENALTY = 3.0
CHOICES = 5


def main() -> None:
    report(patients(describe, arguments_of(__doc__)))


def describe(preset: str, order: tuple[str, int]) -> dict[str, object]:
    """One patient: the tumor's true signal, that of other tissues, and what is true."""
    from nnmtl.phantom.anatomy import build_scene
    from nnmtl.phantom.case import generate_case, random_generators
    from nnmtl.phantom.centers import center_named
    from nnmtl.phantom.tissue import tissue_signals

    center, index = order
    case = generate_case(preset, center, SEED, index)
    _, _, _, of_scene, _ = random_generators(preset, center, SEED, index)
    scene = build_scene(of_scene, traits=case.traits, nuisance=case.nuisance)
    signals = tissue_signals(center_named(center), case.nuisance)
    others = [signals.fat, signals.muscle, signals.blood]
    return {
        "center": center,
        "tumor": tumor_signal(np.log(signals.tumor(scene.tumor_ktrans)), scene),
        "tissues": np.log(np.array(others, dtype=float)),
        "traits": list(case.traits.values()),
        "ki67": float(case.targets["Ki67"]),
        "exact": case.posterior["Ki67_median"],
    }


def tumor_signal(signal: np.ndarray, scene) -> list[float]:
    """Quantiles and spread of the core, of that of it which is not necrotic, and the rim's mean."""
    depth_mm = -scene.tumor_distance_mm
    core = depth_mm > RIM_MM
    alive = core & (scene.tumor_ktrans > 0.03)
    living = signal[alive if alive.sum() > 2 else core]
    rim = signal[(depth_mm > 0) & ~core]
    spread = np.log(living.std() + 0.01)
    return [
        *np.quantile(signal[core], LEVELS),
        np.median(living),
        living.mean(),
        spread,
        rim.mean(),
    ]


def report(table) -> None:
    from scipy.special import expit, logit
    from sklearn.metrics import r2_score

    ki67 = table["ki67"]
    share = logit(np.clip(ki67 / 100, 0.005, 0.995))

    def error(truth, told):
        return np.abs(100 * expit(told) - 100 * expit(truth)).mean()

    tumor, traits = table["tumor"], table["traits"]
    seen = {
        "the tumor's signal": tumor,
        "and fat, muscle, blood": np.hstack([tumor, table["tissues"]]),
        "and all traits but the core's exactly": np.hstack([tumor, traits[:, 2:]]),
        "all traits exactly": traits,
    }
    for name, columns in seen.items():
        constant = left_out(table["center"], columns, traits[:, 0], r2_score)
        found = left_out(table["center"], columns, share, error)
        print(f"{name:38s} transfer constant R2 {constant:.2f}  Ki-67 error {found:.1f}")
    print(f"exact posterior: Ki-67 error {np.abs(table['exact'] - ki67).mean():.1f}")


def left_out(centers, columns, target, measure) -> float:
    """The mean of `measure` over choices of the patients that the regressions are fitted to."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = []
    for choice in range(CHOICES):
        told = np.full(len(target), np.nan)
        for center in CENTERS:
            rows = np.random.default_rng(choice).permutation(np.flatnonzero(centers == center))
            fitted, out = rows[:TO_FIT], rows[TO_FIT:]
            model = make_pipeline(StandardScaler(), Ridge(PENALTY))
            told[out] = model.fit(columns[fitted], target[fitted]).predict(columns[out])
        known = ~np.isnan(told)
        found.append(measure(target[known], told[known]))
    return float(np.mean(found))


if __name__ == "__main__":
    main()
