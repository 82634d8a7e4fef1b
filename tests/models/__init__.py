"""The tables, the questions asked of them, the metrics."""
