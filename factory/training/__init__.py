"""What the stages share, and the tools that put their results into the package."""
