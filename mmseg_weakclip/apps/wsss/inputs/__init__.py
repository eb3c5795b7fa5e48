"""What the user gives: images, labels, classes and masks."""
