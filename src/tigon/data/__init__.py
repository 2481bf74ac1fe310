"""Images from the disk to the batch: any file to uint8 rows, rows to floats in [-1, 1]."""
