"""What `doctor` checks, one module a neighbour: this machine, the store, the models, GitHub."""
