"""`xbar does-it-matter`: switch off each non-ideality alone, and see what changes."""
