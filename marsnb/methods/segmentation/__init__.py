"""Methods of semantic segmentation, one file each (to come)."""
