"""PPO on a learned reward, started from the clone."""
