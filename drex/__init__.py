"""drex: learn a reward from imperfect demonstrations, and train an agent that beats the demonstrator."""
