"""What an assessment is made of: indicators, history, calibration, and the states that an action can end in."""
