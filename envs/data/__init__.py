"""What environments leave behind: trajectories, image stacks, true returns."""
