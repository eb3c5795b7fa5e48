"""Commands over mmengine's runner and the data sets, one file each."""
