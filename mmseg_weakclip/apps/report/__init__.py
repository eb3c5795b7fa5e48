"""A page about a run: scores, curves and images; extra ``[report]``."""
