"""`xbar sharing-cost`: what exact weight sharing costs on analog hardware, and what it buys."""
