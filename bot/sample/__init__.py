"""The story that `make demo` replays: an invented organisation, its deliveries and their truth."""
