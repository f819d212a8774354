"""`xbar compare-devices`: the same networks on many devices."""
