"""`aiemp doctor`: everything that could stop the employee from working, seen as its daemon would see it."""
