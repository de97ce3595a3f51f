"""What `nasbench ls samplers` shows, kept apart so that showing it needs no optuna."""

SAMPLER_NAMES: dict[str, str] = {
    "surrogate": "Gaussian processes over the choices; proposes what is expected to improve the front most",
    "random": "each choice uniformly; the yardstick for the others",
    "tpe": "multi-objective tree-structured Parzen estimator, multivariate, groups of conditional choices",
    "nsga2": "NSGA-II: non-dominated sorting and crowding distance, population 20",
    "nsga3": "NSGA-III: non-dominated sorting and reference points, population 20; for three objectives and more",
    "gp": "Gaussian process; slow beyond some hundred trials",
    "evolution": "regularized (aging) evolution: mutate one choice of a young parent, population 20",
    "grid": "every point of the space once; for small spaces",
}
