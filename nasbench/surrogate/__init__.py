"""A model of what choices lead to, and a sampler for Optuna that proposes by it."""
