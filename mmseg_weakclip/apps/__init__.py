"""The commands of the package, one folder or file each."""
