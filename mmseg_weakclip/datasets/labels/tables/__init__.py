"""Reader of tables of labels, and how it tells their columns apart."""
