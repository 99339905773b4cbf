"""The exploratory study: a trial's own analysis, section by section, as one tracked run and one report."""
