"""The best convex loss by score matching, and how near sets of losses come to it and to the best of all, law by law."""
