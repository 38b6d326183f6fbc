"""What we publish: speed and quality, losses included. Each benchmark is one command; the results lie in `results/`."""
