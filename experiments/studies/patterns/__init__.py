"""`xbar patterns`: is it the weights of copies that are hard to share, or which devices they lack?"""
