"""Other services of AWS that are served here."""
