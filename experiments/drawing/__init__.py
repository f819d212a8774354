"""Figures, labels, tables and pages; nothing is computed here."""
