"""Learning rates: those of trainings that name none, those of studies, and those that a search has found."""
