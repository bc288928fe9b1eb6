"""Many runs, side by side, and one table of them."""
