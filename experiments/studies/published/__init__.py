"""`xbar published`: tables of other papers computed anew, each cell judged by a rule that was written first."""
