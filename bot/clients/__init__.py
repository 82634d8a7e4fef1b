"""One module for each service that is spoken to."""
