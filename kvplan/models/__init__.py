"""Models: what a configuration says about layers, caches and parameters, engine-free."""
