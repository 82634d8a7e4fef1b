"""Stand-ins for the services we speak to, over loopback HTTP."""
