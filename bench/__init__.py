"""What `make bench` runs: figures and ratios, measured side by side in one run."""
