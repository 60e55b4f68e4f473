"""What goes wrong with images: each failure carries AWS's StateReasonCode and a sentence for a person."""

from __future__ import annotations

import errno
from enum import StrEnum

from lambent.model.errors import StateReasonError


class ReasonCode(StrEnum):
    """Of StateReasonCode those that images have. Source: service description."""

    ACCESS_DENIED = "ImageAccessDenied"
    DELETED = "ImageDeleted"
    INVALID = "InvalidImage"
    INTERNAL = "InternalError"


class ImageUnusableError(StateReasonError):
    """The image cannot be had or cannot be used. `reason_code` is what a function's state says (ReasonCode).

    What AWS refuses at once has AWS's words; the rest a function's state tells.
    """

    def __init__(
        self, message: str, reason_code: ReasonCode, *, code: str | None = None, is_told_later: bool = True
    ) -> None:
        super().__init__(message, code=code)
        self.reason_code = reason_code.value
        self.is_told_later = is_told_later


def not_there(image_uri: str) -> ImageUnusableError:
    """Return the refusal of an image that its registry does not have. Source: observed."""
    return ImageUnusableError(
        f"Source image {image_uri} does not exist. Provide a valid source image.",
        ReasonCode.DELETED,
        is_told_later=False,
    )


def denied() -> ImageUnusableError:
    """Return the refusal of an image that its registry does not give us. Source: observed (403)."""
    return ImageUnusableError(
        "Lambda does not have permission to access the ECR image. Check the ECR permissions.",
        ReasonCode.ACCESS_DENIED,
        code="AccessDeniedException",
        is_told_later=False,
    )


def unsupported(image_uri: str) -> ImageUnusableError:
    """Return the refusal of what is no image of a kind that Lambda takes. Source: observed."""
    return ImageUnusableError(
        f"The image manifest, config or layer media type for the source image {image_uri} is not supported.",
        ReasonCode.INVALID,
        is_told_later=False,
    )


def invalid(image_uri: str, reason: str) -> ImageUnusableError:
    """Return the refusal of an image that is damaged, hostile or for another machine."""
    return ImageUnusableError(f"The image {image_uri} cannot be used: {reason}.", ReasonCode.INVALID)


def unreachable(registry: str, reason: str) -> ImageUnusableError:
    """Return what is said when a registry did not answer, or in the middle no more."""
    return ImageUnusableError(
        f"The registry {registry} did not answer: {reason}.", ReasonCode.INTERNAL, code="ServiceException"
    )


def unmapped(image_uri: str, registry: str) -> ImageUnusableError:
    """Return what is said about a registry that no setting names: nothing leaves the machine by itself."""
    return ImageUnusableError(
        f"No registry is configured for {registry}: add it to the setting images.registries, or bring the image with "
        f"`lambent images import FILE --name {image_uri}`.",
        ReasonCode.ACCESS_DENIED,
    )


def no_room() -> ImageUnusableError:
    """Return what is said when the disk was full; what was written is gone."""
    return ImageUnusableError(
        "The disk that holds the images is full; nothing was kept.", ReasonCode.INTERNAL, code="ServiceException"
    )


def broken(error: OSError) -> ImageUnusableError:
    """Return what is said when the disk refused otherwise."""
    return ImageUnusableError(
        f"The image could not be written: {error.strerror or error}; nothing was kept.",
        ReasonCode.INTERNAL,
        code="ServiceException",
    )


def killed() -> ImageUnusableError:
    """Return what is said when the process that unpacks ends again and again: memory is short, mostly."""
    return ImageUnusableError(
        "The process that unpacks images was killed twice; nothing was kept.",
        ReasonCode.INTERNAL,
        code="ServiceException",
    )


def is_full(error: OSError) -> bool:
    """Whether an error says that there is no room."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
