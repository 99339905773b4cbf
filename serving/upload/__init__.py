"""A patient's own files, and what is understood of them before anything is predicted."""

from serving.upload.findings import Fault, Field, Form, Understood
from serving.upload.intake import UploadedFile
from serving.upload.preview import Upload, understand

__all__ = ["Fault", "Field", "Form", "Understood", "Upload", "UploadedFile", "understand"]
