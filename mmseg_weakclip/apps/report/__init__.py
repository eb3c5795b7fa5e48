"""Report of a run as a page: scores, curves, images; extra ``[report]``."""
