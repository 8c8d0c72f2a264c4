"""Raw data sources: one file per data set, in the layout in which its owner publishes it."""
