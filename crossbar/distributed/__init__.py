"""Layers whose tiles lie in several processes: who holds which, and what the processes send each other."""
