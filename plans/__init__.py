"""Shipped presets: one JSON file each, read by name through `importlib.resources`."""
