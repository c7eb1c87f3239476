"""Worker processes that read and judge the rows of large local data, each its stretches of it."""
