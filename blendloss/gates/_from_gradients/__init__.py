"""Gates that look at the gradients of the losses."""
