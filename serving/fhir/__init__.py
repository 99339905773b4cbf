"""HL7 FHIR R4 (4.0.1): a Bundle about one patient in, RiskAssessments with their Provenance out."""
