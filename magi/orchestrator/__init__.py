"""From the inbox to the log: takes submissions and ballots, decides, appends, and sees to what follows."""
