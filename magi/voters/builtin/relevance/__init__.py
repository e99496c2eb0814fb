"""What casper is made of: refusals, truncation, natural language, and what query and answer have in common."""
