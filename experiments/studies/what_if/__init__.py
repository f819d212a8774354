"""`xbar what-if`: which property of a device to improve, by how much, for which gain."""
