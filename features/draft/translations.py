"""Words of headers and cells in other languages, and what they mean in English."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def _meanings(words: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return what each word means, from the words by their meaning."""
    return {word: meaning for meaning, synonyms in words.items() for word in synonyms}


ENGLISH_WORDS = _meanings(
    {
        "age": ("alter", "âge", "edad", "età"),
        "sex": ("geschlecht", "sexe", "sexo", "sesso"),
        "patient": ("patienten", "paciente", "paziente"),
        "number": ("nummer", "numéro"),
        "response": ("ansprechen", "réponse", "respuesta", "risposta"),
        "best": ("bestes", "meilleure"),
        "toxicity": ("toxizität", "toxicité", "toxicidad"),
        "adverse_event": ("nebenwirkung", "nebenwirkungen"),
        "event": ("ereignis", "événement"),
        "grade": ("schweregrad",),
        "days": ("tage", "jours"),
        "months": ("monate", "mois"),
        "date": ("datum", "fecha"),
        "collection_date": ("entnahmedatum", "abnahmedatum"),
        "collection": ("entnahme", "abnahme", "prélèvement"),
        "first": ("erste", "ersten", "première"),
        "dose": ("gabe", "dosis"),
        "treatment": ("behandlung", "traitement"),
        "therapy": ("therapie", "thérapie"),
        "survival": ("überleben", "ueberleben", "survie", "supervivencia", "sopravvivenza"),
        "survival_time": ("überlebenszeit", "ueberlebenszeit", "überlebensdauer"),
        "overall_survival": ("gesamtüberleben", "gesamtueberleben"),
        "death": ("tod", "décès", "deces", "mort", "muerte", "fallecimiento", "decesso", "morte"),
        "deceased": ("verstorben", "décédé", "fallecido", "deceduto"),
        "follow_up": ("nachbeobachtung", "suivi", "seguimiento"),
        "follow_up_time": ("nachbeobachtungszeit", "nachbeobachtungsdauer"),
        "contact": ("kontakt",),
        "relapse": ("rezidiv", "récidive", "rechute", "recidiva"),
        "progression": ("progresión", "progressione"),
        "centre": ("zentrum",),
        "visit": ("visite",),
        "analyte": ("analyt", "paramètre"),
        "result": ("ergebnis", "résultat", "resultado", "risultato"),
        "value": ("messwert", "wert", "valeur"),
        "unit": ("einheit", "unité", "unidad"),
    }
)
"""What the words of headers in German, French, Spanish and Italian mean, in snake case."""

ENGLISH_NAMES = _meanings(
    {
        "patient_id": ("patnr", "patid", "patientennr", "patientennummer", "n_patient", "患者编号"),
        "day": ("tag", "jour"),
        "age": ("年龄",),
        "sex": ("性别",),
        "response": ("疗效",),
        "adverse_event": ("不良反应",),
        "collection_date": ("采样日期",),
        "analyte": ("项目",),
        "result": ("结果",),
        "unit": ("单位",),
    }
)
"""What headers mean whose words have other meanings, as 'Tag', or have no blanks between them, and those in Chinese."""

YES_WORDS = ("yes", "y", "ja", "oui", "sí", "si", "是")
NO_WORDS = ("no", "n", "nein", "non", "否")
"""Words for yes and no, in English, German, French, Spanish, Italian and Chinese."""

UNIT_WORDS: Mapping[str, tuple[str, ...]] = {
    "days": ("d", "day", "days", "tag", "tage", "jour", "jours"),
    "weeks": ("w", "wk", "wks", "week", "weeks", "woche", "wochen", "semaine", "semaines"),
    "months": ("mo", "mos", "mth", "mths", "month", "months", "monat", "monate", "mois"),
    "years": ("y", "yr", "yrs", "year", "years", "jahr", "jahre", "ans"),
}
"""The words for each unit of time, in English, German and French; M alone may also be a measurement."""
BEFORE_WORDS = ("pre", "before", "vor", "avant")
AFTER_WORDS = ("post", "after", "nach", "apr\u00e8s")
TREATMENT_WORDS = ("treatment", "therapy", "immunotherapy", "ici", "behandlung", "therapie", "traitement")
"""Words of visits, in English, German and French."""

SEXES = _meanings(
    {
        "male": ("m", "male", "man", "h", "homme", "männlich", "mann", "男"),
        "female": ("f", "female", "woman", "femme", "w", "weiblich", "frau", "女"),
    }
)
"""The sex that a word means, in English, French, German and Chinese."""
