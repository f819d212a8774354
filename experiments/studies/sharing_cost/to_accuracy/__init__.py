"""What reaching an accuracy costs: curves of validation accuracy, priced, and read where they cross a target."""
