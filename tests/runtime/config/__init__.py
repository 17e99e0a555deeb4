"""Reading, checking and explaining configurations."""
