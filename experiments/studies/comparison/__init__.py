"""`xbar report RUN RUN ...`: several runs beside each other."""
