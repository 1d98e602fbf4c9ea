"""Is the gate ScoreMatching as good as the best single loss of each problem, which is known only in hindsight?"""
