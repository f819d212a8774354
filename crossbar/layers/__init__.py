"""Layers of networks: the digital locally connected layer, and every layer on analog tiles."""
