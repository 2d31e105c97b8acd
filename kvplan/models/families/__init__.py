"""One file per family that departs from the general reader; the folder is the registry (see `kvplan.models.family`)."""
