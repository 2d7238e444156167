"""Converters: one file per source, each turning a center's export into an nnU-Net raw dataset."""
