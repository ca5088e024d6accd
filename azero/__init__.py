"""azero: a policy-value network amplified by batched tree search and distilled from what the search found."""

__version__ = "0.1.0"
