"""Commands on mmengine's runner and on data sets, one file each."""
