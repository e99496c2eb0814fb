"""What melchior is made of: finding code and data in an answer, and parsing them where a crash costs nothing."""
