"""`xbar sweep`: any command for lists of its options."""
