"""Who is who: people, what they hold and since when, who is above whom, who is on call, and who acts for whom."""
