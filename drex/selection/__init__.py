"""The choice of the policy that a run returns, by independent judges and without the true reward."""
