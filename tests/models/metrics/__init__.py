"""What is measured, against a naive version of it and numbers computed by hand."""
