"""Every error that a user can cause or meet, so that the server, the batch and the command line name them alike."""


class TranslateError(Exception):
    """Base of the project's errors. The message says what is wrong, where, and what to do."""


class PictureError(TranslateError):
    """The bytes are not a picture that can be translated."""


class UnsupportedPicture(PictureError):
    """Not one of the formats or layouts that are read."""


class CorruptPicture(PictureError):
    """A known format whose bytes are damaged or incomplete."""


class PictureTooLarge(PictureError):
    """More pixels than the limit allows, found before decoding."""


class OutOfMemory(TranslateError):
    """Too little memory at this moment. The picture may well be sound, and another attempt may do."""


class ModelNotFound(TranslateError):
    """No model of that name or at that path."""


class InvalidModel(TranslateError):
    """An ONNX file that is not a translator of this project."""


class DeviceUnavailable(TranslateError):
    """The device asked for cannot be had. Never answered by another device in silence."""


class JobRefused(TranslateError):
    """A folder job that would overwrite, mix up or contradict something. Nothing has been written."""


class JobStopped(TranslateError):
    """A folder job that cannot go on, as when the disk is full. What is done is safe and the job can be resumed."""


class TranslationFailed(TranslateError):
    """The model ran, or tried to, and no picture came out."""
