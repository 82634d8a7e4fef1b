"""What is measured: each metric one SELECT of the rows it counts."""
