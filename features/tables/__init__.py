"""Tables in files: text of any delimiter, stool profiles in their own formats, and tables that Taxokine writes."""
