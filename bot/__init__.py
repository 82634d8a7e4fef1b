"""Acts: the processes, and the services spoken to."""
