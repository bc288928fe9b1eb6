"""Diagnosis: signs, seen without the true reward and before PPO, that the method will or will not work."""
