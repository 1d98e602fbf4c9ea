"""Gates that look at the values of the losses."""
