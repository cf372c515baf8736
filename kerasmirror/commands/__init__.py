"""What `python -m kerasmirror` can do; each command is a file."""
