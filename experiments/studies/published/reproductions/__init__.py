"""How each published table is computed."""
