"""A patient's own files: how they are read, and their problems, before anything is predicted."""

from serving.upload.form import Field, Form, UploadChoices
from serving.upload.intake import UploadedFile
from serving.upload.preview import Upload, understand
from serving.upload.report import Interpretation, UploadProblem

__all__ = [
    "Field",
    "Form",
    "Interpretation",
    "Upload",
    "UploadChoices",
    "UploadProblem",
    "UploadedFile",
    "understand",
]
